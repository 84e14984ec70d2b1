"""A small stand-in for the pipeline: it plays the rehearsal cast through a build in a folder, with real
processes but without the service.

It does what the pipeline does in the simplest way: a check fails before and passes after the work, a commit
is a copy of the folder, checks of earlier tickets are run again, and the next attempt is told what failed.
"""

import asyncio
from dataclasses import dataclass, field

from app.domain.ticket import TicketStatus, TicketType, execution_order
from tests.rehearsal.ground import Ground
from workers.agents import tools
from workers.agents.facts import (
    SUM_UP,
    AnalysisFacts,
    AskedTicket,
    BuildingFacts,
    Chat,
    Decided,
    DiscussionFacts,
    Facts,
    Failure,
    KnownTicket,
    PrdFacts,
    ProvingFacts,
    Said,
    TicketingFacts,
)
from workers.agents.outputs import (
    Backlog,
    Checks,
    ClientReply,
    DecisionRecord,
    Output,
    Prd,
    Requirements,
    TicketDraft,
    Turn,
)
from workers.llm.model import Answer, Message, Question
from workers.rehearsal.cast import RehearsalModel

MODEL = RehearsalModel(pace=0)
MOST_ATTEMPTS = 3
MOST_STEPS = 40


def ask(purpose: str, messages: tuple[Message, ...], agent: str = "") -> Answer:
    answer = asyncio.run(
        MODEL.ask(Question(agent=agent, purpose=purpose, instructions="", messages=messages))
    )
    assert answer.model == "rehearsal"
    assert answer.tokens is not None
    assert answer.tokens.input > 0
    assert answer.tokens.output > 0
    return answer


def told(purpose: str, facts: Facts, shape: type[Output], agent: str = "") -> Output:
    answer = ask(purpose, (Message("user", facts.model_dump_json()),), agent)
    return shape.model_validate_json(answer.text)


def _with_checks(facts: TicketingFacts, backlog: Backlog, draft: TicketDraft) -> TicketDraft:
    if draft.type is TicketType.EPIC or draft.skip_reason:
        return draft
    shown = ProvingFacts(
        summary=facts.prd.problem,
        requirements=facts.requirements,
        continuation=facts.continuation,
        decision=facts.decision.decision,
        profile=facts.profile,
        tickets=backlog.tickets,
    )
    asked = AskedTicket(ticket=draft.key, answer_tokens=8000)
    messages = tuple(Message("user", part.model_dump_json()) for part in (shown, asked))
    return draft.model_copy(
        update={"checks": Checks.model_validate_json(ask("checks", messages).text).checks}
    )


def replied(*turns: str) -> ClientReply:
    """The reply of Client Relations to a conversation, in which the client and it take turns."""
    messages = tuple(Message("assistant" if index % 2 else "user", turn) for index, turn in enumerate(turns))
    return ClientReply.model_validate_json((ask("intake", messages)).text)


@dataclass
class Ticket:
    draft: TicketDraft
    id: str
    status: TicketStatus = TicketStatus.TODO
    attempts: int = 0
    proven: int = 0
    """The number of criteria whose check failed before and passed after the work."""


@dataclass
class Company(Ground):
    idea: str
    answers: list[str] = field(default_factory=list)
    talk: list[Said] = field(default_factory=list)
    summary: str = ""
    requirements: Requirements | None = None
    prd: Prd | None = None
    tickets: list[Ticket] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    by_hand: list[KnownTicket] = field(default_factory=list)
    """Tickets that the client wrote into the backlog."""

    def talk_it_over(self) -> None:
        """Give the client's answers one after the other; when there are none left, ask to start."""
        self.talk.append(Said(who="Client", text=self.idea))
        answers = [*self.answers, SUM_UP]
        while True:
            turns = tuple(
                Message("assistant" if said.who == "Client Relations" else "user", said.text)
                for said in self.talk
            )
            reply = ClientReply.model_validate_json((ask("intake", turns)).text)
            self.talk.append(Said(who="Client Relations", text=reply.reply))
            if reply.done:
                self.summary = reply.summary
                return
            self.talk.append(Said(who="Client", text=answers.pop(0)))

    def plan(self, continuation: str = "") -> Backlog:
        known = list(self.requirements.requirements) if self.requirements else []
        facts = AnalysisFacts(
            summary=self.summary or self.idea,
            conversation=[
                Chat(number=number, who=said.who, text=said.text) for number, said in enumerate(self.talk, 1)
            ],
            continuation=continuation,
            known=known,
        )
        analysed = told("analysis", facts, Requirements)
        assert isinstance(analysed, Requirements)
        self.requirements, self.summary = analysed, analysed.summary
        shared = {
            "summary": self.summary,
            "requirements": analysed.requirements,
            "assumptions": analysed.assumptions,
            "continuation": continuation,
        }
        said: list[Said] = []
        for number in (1, 2):
            for agent in ("CEO", "CTO"):
                turn = told("discussion", DiscussionFacts(round=number, said=said, **shared), Turn, agent)
                assert isinstance(turn, Turn)
                said.append(Said(who=agent, text=turn.message))
        decision = told(
            "decision", DiscussionFacts(round=3, said=said, **shared), DecisionRecord, "Secretary"
        )
        assert isinstance(decision, DecisionRecord)
        decided = Decided(decision=decision.decision, objections=decision.objections)
        prd = told("prd", PrdFacts(decision=decided, profile="python-stdlib", **shared), Prd)
        assert isinstance(prd, Prd)
        self.prd = prd
        covered = {
            number
            for ticket in self.tickets
            if ticket.status is not TicketStatus.FAILED
            for number in ticket.draft.requirements
        }
        before = [
            KnownTicket(
                id=t.id,
                type=t.draft.type,
                title=t.draft.title,
                status=t.status,
                requirements=t.draft.requirements,
            )
            for t in self.tickets
        ]
        asked = TicketingFacts(
            prd=prd,
            requirements=analysed.requirements,
            uncovered=[item.id for item in analysed.requirements if item.id not in covered],
            continuation=continuation,
            decision=decided,
            profile="python-stdlib",
            known=[*self.by_hand, *before],
        )
        backlog = told("ticketing", asked, Backlog)
        assert isinstance(backlog, Backlog)
        return Backlog(tickets=[_with_checks(asked, backlog, draft) for draft in backlog.tickets])

    def build(self, backlog: Backlog, *, prove: bool = True) -> list[Ticket]:
        """Build every story of the backlog, and return the tickets. Without `prove` no check is run, and no
        first attempt fails."""
        ids = {draft.key: f"{len(self.tickets) + index:04d}" for index, draft in enumerate(backlog.tickets)}
        new = [Ticket(draft, ids[draft.key]) for draft in backlog.tickets]
        self.tickets += new
        by_key = {ticket.draft.key: ticket for ticket in new}
        order = execution_order(
            list(by_key),
            {key: [dep for dep in t.draft.depends_on if dep in by_key] for key, t in by_key.items()},
        )
        for key in order:
            self.close(by_key[key], prove=prove)
        return new

    def close(self, ticket: Ticket, *, prove: bool = True) -> None:
        draft = ticket.draft
        if draft.type is TicketType.EPIC or draft.skip_reason:
            ticket.status = TicketStatus.SKIPPED if draft.skip_reason else TicketStatus.DONE
            return
        if not prove:
            ticket.attempts = 2
            self.work(ticket, [])
            ticket.status = TicketStatus.DONE
            return
        red = {check.id: not self.run(check)[0] for check in draft.checks}
        failures: list[Failure] = []
        while ticket.attempts < MOST_ATTEMPTS:
            ticket.attempts += 1
            self.work(ticket, failures)
            results = [(check, *self.run(check)) for check in draft.checks]
            failures = [
                Failure(
                    reason="A check failed.",
                    criterion=draft.acceptance_criteria[check.criterion],
                    check=check.model_dump_json(),
                    output=output,
                )
                for check, passed, output in results
                if not passed
            ]
            self.failures += failures
            if not failures:
                ticket.status = TicketStatus.DONE
                ticket.proven = sum(red.values())
                return
        ticket.status = TicketStatus.FAILED

    def work(self, ticket: Ticket, failures: list[Failure]) -> None:
        assert self.requirements is not None
        draft = ticket.draft
        facts = BuildingFacts(
            title=self.prd.title if self.prd else "",
            summary=self.summary,
            requirements=self.requirements.requirements,
            serves=draft.requirements,
            decision="",
            profile="python-stdlib",
            ticket=draft.title,
            description=draft.description,
            acceptance_criteria=draft.acceptance_criteria,
            checks=draft.checks,
            attempt=ticket.attempts,
            failures=failures,
            tried="",
            fresh=False,
            files=sorted(
                str(path.relative_to(self.app))
                for path in self.app.rglob("*")
                if path.is_file() and "__pycache__" not in path.parts
            ),
            finished=[t.draft.title for t in self.tickets if t.status is TicketStatus.DONE],
            lately=[],
        )
        messages = [Message("user", facts.model_dump_json())]
        for _ in range(MOST_STEPS):
            answer = ask("building", tuple(messages))
            assert answer.text
            assert answer.calls
            messages.append(Message("assistant", answer.text, answer.calls))
            for call in answer.calls:
                tool = tools.TOOLS[call.name].model_validate_json(call.arguments)
                if isinstance(tool, tools.Finish):
                    return
                messages.append(Message("tool", self.use(tool), call_id=call.id))
        raise AssertionError("the builder does not finish")

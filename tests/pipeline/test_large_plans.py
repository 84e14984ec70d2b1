"""A plan is asked for in pieces: the outline, in parts if it is long, then each ticket's checks."""

import math
from dataclasses import replace

import orjson
import pytest

from app.actions import runs
from app.domain.ticket import CHECK, CommandCheck
from tests.helpers.company import BACKLOG, DONE, asked_ticket, checks, company, story
from tests.helpers.house import House, tickets
from workers.agents.facts import AskedTicket, ProvingFacts, TicketingFacts
from workers.agents.outputs import Backlog, Checks, Kept, TicketDraft
from workers.llm.lineup import Lineup
from workers.llm.model import Answer, Hear, ModelUnavailable, Question, Tokens
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.proof.planned import merged

TICKETS, CHECKS_EACH = 25, 6
ROOM = 4000
CHARACTERS_A_TOKEN = 4
SCRIPT = "python3 - <<'END'\n" + "# a check of some length, as models write them\n" * 12 + "END"


class ShortModel(ScriptedModel):
    """Its answers are cut off after ROOM tokens."""

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        answer = await super().ask(question, hear)
        tokens = math.ceil(len(answer.text) / CHARACTERS_A_TOKEN)
        assert question.max_tokens <= ROOM
        if tokens <= question.max_tokens:
            return replace(answer, tokens=Tokens(1, tokens))
        cut = answer.text[: question.max_tokens * CHARACTERS_A_TOKEN]
        return replace(answer, text=cut, finish_reason="length", tokens=Tokens(1, question.max_tokens))


def planned(number: int) -> TicketDraft:
    return TicketDraft.model_validate(
        {
            "key": f"T{number}",
            "type": "story",
            "title": f"Step {number}",
            "description": f"The page /{number}, with all that belongs to it. " * 6,
            "requirements": ["R1" if number < TICKETS else "R2"],
            "depends_on": [f"T{number - 1}"] if number > 1 else [],
            "acceptance_criteria": [f"/{number} says {place}." for place in range(CHECKS_EACH)],
        }
    )


def outline(question: Question) -> Line:
    """As many tickets as fit into the answer, and whether there are more."""
    shown = TicketingFacts.model_validate_json(question.messages[0].text)
    said = [m.text for m in question.messages if m.role == "assistant"]
    first = sum(len(orjson.loads(text)["tickets"]) for text in said) + 1
    room = shown.answer_tokens * CHARACTERS_A_TOKEN * 2 // 3
    part: list[TicketDraft] = []
    for number in range(first, TICKETS + 1):
        if len(Backlog(tickets=[*part, planned(number)]).model_dump_json()) > room:
            break
        part.append(planned(number))
    return Backlog(tickets=part, more=first + len(part) <= TICKETS)


def proving(question: Question) -> Line:
    shown = ProvingFacts.model_validate_json(question.messages[0].text)
    asked = asked_ticket(question)
    assert [ticket.key for ticket in shown.tickets] == [f"T{n}" for n in range(1, TICKETS + 1)]
    return Checks(
        checks=[
            CommandCheck(id=f"c{n}", criterion=n, run=f"{SCRIPT}\n# {asked.ticket}")
            for n in range(CHECKS_EACH)
        ]
    )


async def test_a_plan_of_25_tickets_and_150_checks_from_answers_of_4000_tokens(house: House) -> None:
    model = ShortModel(
        company(
            intake=lambda _: DONE,
            ticketing=outline,
            checks=proving,
            building=lambda _: ModelUnavailable("That is all for now."),
        )
    )
    async with house.worker(Lineup(model, longest=ROOM)):
        job = await house.until_finished(await house.create(), 110)
    found = await tickets(house, job.id)
    assert [ticket.title for ticket in found] == [f"Step {n}" for n in range(1, TICKETS + 1)]
    assert sum(len(ticket.checks) for ticket in found) == TICKETS * CHECKS_EACH
    purposes = [question.purpose for question in model.asked]
    assert purposes.count("ticketing") == 2, "the outline came in parts"
    assert purposes.count("checks") == TICKETS, "no answer was cut off"
    assert "lost" not in {attempt.outcome for attempt in await house.attempts(job.id)}
    firsts = {question.messages[0].text for question in model.asked if question.purpose == "checks"}
    assert len(firsts) == 1, "a provider can cache what is the same"


async def test_answers_are_not_asked_for_again_after_a_retry(house: House) -> None:
    broken = True

    def once_broken(question: Question) -> Line:
        if broken and asked_ticket(question).ticket == "T3":
            return "I would rather not."
        return checks(question)

    model = ScriptedModel(company(intake=lambda _: DONE, checks=once_broken))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
        assert (job.status, job.failure_code) == ("failed", "model_misbehaved")
        broken = False
        asked = len(model.asked)
        await runs.retry_job(house.resources, house.user_id, job.id)
        job = await house.until_finished(job.id)
    assert (job.status, job.verification) == ("build_done", "verified")
    planning = [q for q in model.asked[asked:] if q.purpose in ("ticketing", "checks")]
    assert [(q.purpose, asked_ticket(q).ticket) for q in planning] == [("checks", "T3")]


async def test_a_backlog_that_comes_with_its_checks_is_taken(house: House) -> None:
    model = ScriptedModel(company(intake=lambda _: DONE, ticketing=lambda _: BACKLOG))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification) == ("build_done", "verified")
    assert not any(question.purpose == "checks" for question in model.asked)


HELLO = CHECK.validate_python(
    {"id": "c1", "criterion": 0, "kind": "http", "path": "/", "expect_text": "hello"}
)
ASKED = AskedTicket(ticket="T2", before=[HELLO], criteria_before=["/ says hello."], answer_tokens=8000)
DRAFT = story("T2", "/", "hello", "R1", []).model_copy(update={"acceptance_criteria": ["New.", "Old."]})


def test_kept_checks_prove_another_criterion() -> None:
    new = HELLO.model_copy(update={"id": "c2"})
    found = merged(DRAFT, ASKED.before, Checks(keep=[Kept(id="c1", criterion=1)], checks=[new]))
    assert found == [HELLO.model_copy(update={"criterion": 1}), new]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Checks(), "at least one criterion needs"),
        (Checks(keep=[Kept(id="c9", criterion=0)]), "`before` has no checks c9"),
        (Checks(keep=[Kept(id="c1", criterion=2)]), "a criterion that does not exist"),
        (Checks(checks=[HELLO.model_copy(update={"criterion": 2})]), "a criterion that does not exist"),
        (Checks(keep=[Kept(id="c1", criterion=0)], checks=[HELLO]), "more than one check has the id c1"),
    ],
)
def test_checks_that_do_not_fit(answer: Checks, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        merged(DRAFT, ASKED.before, answer)

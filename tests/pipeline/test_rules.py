"""Rules of the stages that need no database: whose turn it is, what a backlog may contain, what is proven."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.conversation import MAX_ROUNDS
from app.domain.job import Verification
from app.domain.ticket import CommandCheck, TicketStatus, TicketType
from app.store.rows import Seen
from app.store.tables import Message, Ticket
from workers.agents.facts import SUM_UP, Decided, KnownTicket, TicketingFacts
from workers.agents.outputs import (
    Backlog,
    Prd,
    PrdRequirement,
    Requirement,
    TicketDraft,
)
from workers.agents.roles import CEO, CTO
from workers.pipeline.proof.observing import check_digest
from workers.pipeline.proof.verdict import Verdict
from workers.pipeline.spec import Contribution
from workers.pipeline.stages.discussion import ROUNDS, next_speaker
from workers.pipeline.stages.intake import next_turn
from workers.pipeline.stages.ticketing import check_backlog
from workers.pipeline.stages.verifying import judge


def said(role: str, content: str, answers: UUID | None = None) -> Message:
    return Message(id=uuid4(), role=role, content=content, answers=answers)


def test_each_message_is_answered_in_order_and_sees_all_before_it() -> None:
    first, second, third = (said("user", text) for text in "abc")
    reply = said("agent", "A", answers=first.id)
    turn = next_turn([first, second, reply, third], must_end=False)
    assert turn is not None
    assert turn.answers == second.id
    assert [m.text for m in turn.messages] == ["a", "A", "b"]
    assert not turn.sum_up


def test_no_reply_when_all_is_answered_unless_the_talk_must_end() -> None:
    first = said("user", "a")
    chat = [first, said("agent", "A", answers=first.id)]
    assert next_turn(chat, must_end=False) is None
    turn = next_turn(chat, must_end=True)
    assert turn is not None
    assert turn.answers is None
    assert turn.messages[-1].text == SUM_UP


def test_after_six_rounds_it_sums_up() -> None:
    chat: list[Message] = []
    for _ in range(MAX_ROUNDS):
        message = said("user", "more")
        chat += [message, said("agent", "?", answers=message.id)]
    last = said("user", "and more")
    turn = next_turn([*chat, last], must_end=False)
    assert turn is not None
    assert turn.sum_up
    assert turn.answers == last.id


def turns(objections: Sequence[bool]) -> list[Contribution]:
    return [
        Contribution(agent="x", role="discussion", content="…", objections=["no"] if objects else [])
        for objects in objections
    ]


@pytest.mark.parametrize(
    ("objections", "speaker"),
    [
        ([], CEO),
        ([False], CTO),
        ([False, False], None),
        ([True, False], CEO),
        ([False, True], CEO),
        ([True, False, True], CTO),
        ([True, True] * ROUNDS, None),
    ],
)
def test_the_discussion_is_bounded(objections: list[bool], speaker: Any) -> None:
    assert next_speaker(turns(objections)) is speaker


CHECK = {"id": "c1", "criterion": 0, "kind": "command", "run": "true"}


def draft(key: str, **changes: Any) -> TicketDraft:
    values: dict[str, Any] = {
        "key": key,
        "type": "story",
        "title": key,
        "requirements": ["R1"],
        "acceptance_criteria": ["It works."],
        "checks": [CHECK],
    }
    return TicketDraft.model_validate(values | changes)


DONE_ID, OPEN_ID, EPIC_ID = str(uuid4()), str(uuid4()), str(uuid4())


def shown() -> TicketingFacts:
    requirement = Requirement(id="R1", title="t", description="d", priority="must")
    return TicketingFacts(
        prd=Prd(
            title="t",
            problem="p",
            goals=["g"],
            users=["u"],
            requirements=[PrdRequirement(id="R1", text="t", priority="must")],
        ),
        requirements=[requirement, requirement.model_copy(update={"id": "R2"})],
        uncovered=["R1"],
        continuation="",
        decision=Decided(decision="d"),
        profile="python-stdlib",
        known=[
            KnownTicket(
                id=DONE_ID, type=TicketType.STORY, title="t", status=TicketStatus.DONE, requirements=[]
            ),
            KnownTicket(
                id=OPEN_ID, type=TicketType.STORY, title="t", status=TicketStatus.FAILED, requirements=[]
            ),
            KnownTicket(
                id=EPIC_ID, type=TicketType.EPIC, title="t", status=TicketStatus.DONE, requirements=[]
            ),
        ],
    )


@pytest.mark.parametrize(
    "tickets",
    [
        [draft("T1")],
        [draft("T1", depends_on=[DONE_ID])],
        [draft("T1", requirements=["R1", "R2"], acceptance_criteria=["One.", "The other."])],
        [draft("T1", requirements=["R1", "R2"]), draft("T2", requirements=["R2"])],
        [draft(OPEN_ID)],
        [draft("T1", acceptance_criteria=[], checks=[], skip_reason="cannot be done here")],
    ],
)
def test_a_backlog_that_fits(tickets: list[TicketDraft]) -> None:
    check_backlog(shown(), Backlog(tickets=tickets))


@pytest.mark.parametrize(
    ("tickets", "words"),
    [
        ([draft("T1", requirements=[])], "no ticket covers R1"),
        ([draft("T1", depends_on=["T9"])], "unknown tickets"),
        ([draft("T1", depends_on=[OPEN_ID])], "unknown tickets"),
        ([draft(DONE_ID)], "taken up again"),
        ([draft("T1", parent="T9")], "does not exist"),
        ([draft("T1", requirements=["R1", "R9"])], "unknown requirements: R9"),
        ([draft("T1", requirements=["R1", "R2"])], "T1: it alone serves R1, R2"),
        ([draft("T1", parent=EPIC_ID, depends_on=[EPIC_ID])], "T1: depends_on .* not an epic"),
    ],
)
def test_a_backlog_that_does_not_fit(tickets: list[TicketDraft], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_backlog(shown(), Backlog(tickets=tickets))


def test_a_backlog_includes_the_clients_tickets() -> None:
    by_hand = [ticket.model_copy(update={"of_client": True}) for ticket in shown().known]
    facts = shown().model_copy(update={"known": by_hand})
    check_backlog(facts, Backlog(tickets=[draft(OPEN_ID)]))
    with pytest.raises(ValueError, match=f"client's own are not taken up: {OPEN_ID}"):
        check_backlog(facts, Backlog(tickets=[draft("T1")]))


@pytest.mark.parametrize(
    "changes",
    [
        {"acceptance_criteria": []},
        {"checks": [{**CHECK, "criterion": 1}]},
        {"type": "epic"},
        {"depends_on": ["T1"]},
    ],
)
def test_a_draft_without_criteria_or_with_a_cycle_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"T1|cycle"):
        Backlog(tickets=[draft("T1", **changes)])


def test_nothing_waits_for_an_epic_which_waits_for_its_own_tickets() -> None:
    epic = draft("E1", type="epic", acceptance_criteria=[], checks=[])
    with pytest.raises(ValueError, match=r"T1: depends_on .* not an epic \(E1\)"):
        Backlog(tickets=[epic, draft("T1", parent="E1", depends_on=["E1"])])
    later = draft("E2", type="epic", acceptance_criteria=[], checks=[], depends_on=["E1"])
    Backlog(tickets=[epic, later, draft("T1", parent="E2")])


TREE = "a" * 40
RUN, RUN_BEFORE = uuid4(), uuid4()


def ticket(status: TicketStatus = TicketStatus.DONE, **changes: Any) -> Ticket:
    values: dict[str, Any] = {
        "id": uuid4(),
        "type": TicketType.STORY,
        "title": "Add a book",
        "status": status,
        "reason": "",
        "acceptance_criteria": ["It works."],
        "checks": [CHECK],
        "run_id": RUN,
    }
    return Ticket(**(values | changes))


def seen(of: Ticket, phase: str, *, passed: bool, tree: str = TREE, run: UUID | None = None) -> Seen:
    key = check_digest(CommandCheck.model_validate(CHECK))
    return Seen(of.id, phase, key, tree, passed, "", 0, run or of.run_id or RUN)


def judged(tickets: list[Ticket], evidence: list[Seen]) -> Verdict:
    holds = {
        (s.ticket_id, s.check_digest) for s in evidence if s.phase == "final" and s.passed and s.ticket_id
    }
    return judge(tickets, evidence, holds)


def test_verified_needs_red_before_and_green_on_the_final_tree() -> None:
    one = ticket()
    red, green = seen(one, "red", passed=False, tree="b" * 40), seen(one, "final", passed=True)
    assert judged([one], [red, green]).verification is Verification.VERIFIED
    for incomplete in ([green], [red], [seen(one, "red", passed=True, tree="b" * 40), green]):
        verdict = judged([one], incomplete)
        assert verdict.verification is Verification.PARTLY
        assert "Add a book: It works." in verdict.message


def test_a_failure_before_the_run_is_as_good_as_one_before_the_ticket() -> None:
    one = ticket()
    early, green = seen(one, "red", passed=True), seen(one, "final", passed=True)
    verdict = judged([one], [early, seen(one, "run", passed=False), green])
    assert verdict.verification is Verification.VERIFIED
    assert "1 of 1 criteria" in verdict.message
    verdict = judged([one], [early, seen(one, "run", passed=True), green])
    assert verdict.verification is Verification.PARTLY
    assert "Not proven by a check:\n- Add a book: It works. (holds, but held before)" in verdict.message


def test_a_failure_of_another_run_proves_nothing_anew() -> None:
    """A requirement was reworded, and its ticket planned again with the check it had."""
    again = ticket()
    proven = [seen(again, phase, passed=phase != "red", run=RUN_BEFORE) for phase in ("red", "green")]
    held = [seen(again, phase, passed=True) for phase in ("red", "run", "green", "final")]
    verdict = judged([again], [*proven, *held])
    assert verdict.verification is Verification.PARTLY
    assert "No criterion of these tickets was proven in their own run:\n- Add a book" in verdict.message
    old = ticket(run_id=RUN_BEFORE)
    kept = [seen(old, "red", passed=False), seen(old, "final", passed=True, run=RUN)]
    assert judged([old], kept).verification is Verification.VERIFIED, "a ticket that was left alone"


def test_what_was_proven_in_another_run_may_be_asked_for_again_beside_something_new() -> None:
    old = ticket(run_id=RUN_BEFORE)
    new = ticket(title="Lend a book", acceptance_criteria=["New.", "As before."])
    new.checks = [{**CHECK, "run": "false"}, {**CHECK, "id": "c2", "criterion": 1}]
    fresh = check_digest(CommandCheck.model_validate(new.checks[0]))
    red_green = ("red", "green", "final")
    evidence = [
        *(seen(old, phase, passed=phase != "red") for phase in red_green),
        *(seen(new, phase, passed=True) for phase in ("red", "run", "green", "final")),
        *(Seen(new.id, phase, fresh, TREE, phase != "red", "", 0, RUN) for phase in red_green),
    ]
    verdict = judged([old, new], evidence)
    assert verdict.verification is Verification.VERIFIED
    assert "Proven in another run:\n- Lend a book: As before. (holds, but held before)" in verdict.message
    without = [item for item in evidence if (item.ticket_id, item.phase) != (old.id, "red")]
    assert judged([old, new], without).verification is Verification.PARTLY


def test_requirements_that_were_left_out_are_named() -> None:
    one, out = ticket(), ticket(TicketStatus.SKIPPED, title="Payments", reason="It needs a bank.")
    evidence = [seen(one, "red", passed=False), seen(one, "final", passed=True)]
    verdict = judged([one, out], evidence)
    assert verdict.verification is Verification.PARTLY
    assert "Payments: It needs a bank." in verdict.message


def test_without_any_criterion_only_the_apps_answer_counts() -> None:
    bare = ticket(acceptance_criteria=[], checks=[])
    assert judged([bare], []).verification is Verification.UNVERIFIED


def test_a_checks_name_is_not_part_of_its_identity() -> None:
    one = CommandCheck.model_validate(CHECK)
    assert check_digest(one) == check_digest(CommandCheck.model_validate({**CHECK, "id": "other"}))
    assert check_digest(one) != check_digest(CommandCheck.model_validate({**CHECK, "run": "false"}))

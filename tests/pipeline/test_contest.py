"""The Builder contests a check: the Project Manager keeps, mends or drops it, on the record, and what is
dropped stays unproven."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.store.tables import Message, Ticket
from tests.helpers.company import EPIC, SERVER, asked_ticket, call, company, story
from tests.helpers.house import House
from workers.agents.facts import BuildingFacts, ContestFacts
from workers.agents.outputs import Backlog, Checks, Contested
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel

GOOD = {"id": "good", "criterion": 0, "kind": "http", "path": "/", "expect_text": "hello"}
TYPO = GOOD | {"id": "typo", "expect_text": "helo"}
MAIL = {"id": "mail", "criterion": 1, "kind": "command", "run": "mail -s hello ada@example.org </dev/null"}
CRITERIA = ["/ says hello.", "Ada gets a mail."]
FRONT = story("T2", "/", "hello", "R1", []).model_copy(
    update={"acceptance_criteria": CRITERIA, "checks": [], "requirements": ["R1", "R2"]}
)
MENDED = {
    "kind": "http",
    "id": "other",
    "criterion": 1,
    "path": "/",
    "expect_text": "hello",
    "expect_no_text": "helo",
}


def _script(
    checks: list[dict[str, Any]], contests: list[Any], verdicts: dict[str, Any], said: list[str]
) -> Any:
    manifest = {"profile": "python-stdlib", "start": "exec python3 server.py", "health": "/"}
    turns: list[Line] = [
        call("write_file", path="server.py", content=SERVER),
        call("write_file", path="boardroom.json", content=orjson.dumps(manifest).decode()),
        *contests,
        call("finish", summary="The front page says hello."),
    ]

    def building(question: Question) -> Line:
        BuildingFacts.model_validate_json(question.messages[0].text)
        told = [message.text for message in question.messages if message.role == "tool"]
        if len(told) > len(said):
            said[:] = told
        return turns[len(told)]

    def contest(question: Question) -> Line:
        shown = ContestFacts.model_validate_json(question.messages[0].text)
        return Contested.model_validate(verdicts[shown.check.id])

    def proving(question: Question) -> Line:
        assert asked_ticket(question).ticket == "T2"
        return Checks.model_validate({"checks": checks})

    return company(
        ticketing=lambda _: Backlog(tickets=[EPIC, FRONT]),
        checks=proving,
        building=building,
        contest=contest,
    )


async def _build(house: House, script: Any) -> tuple[Any, Ticket, list[str]]:
    async with house.worker(ScriptedModel(script)):
        job = await house.until_finished(await house.begin(), 110)
    async with house.resources.look() as session:
        tickets = await session.scalars(select(Ticket).where(Ticket.job_id == job.id, Ticket.type == "story"))
        told = await session.scalars(select(Message.content).where(Message.job_id == job.id))
        return job, tickets.one(), list(told)


async def test_a_contested_check_is_mended(house: House) -> None:
    said: list[str] = []
    checks = [TYPO, GOOD | {"criterion": 1}]
    contests = [
        call("contest", id="good", why="I do not like it."),
        call("contest", id="typo", why="The criterion says hello."),
        call("contest", id="typo", why="Again!"),
        call("contest", id="nothing", why="Why not?"),
        call("run_check", id="typo"),
    ]
    verdicts = {"typo": {"verdict": "mend", "why": "A letter was missing.", "check": MENDED}}
    job, ticket, told = await _build(house, _script(checks, contests, verdicts, said))
    assert (job.status, job.verification) == ("build_done", "verified"), (job.error_message, said)
    assert said[2] == "error: it passes on the files as they are now"
    assert said[3].startswith("The check typo is replaced: A letter was missing.\n")
    assert '"expect_text":"hello"' in said[3]
    assert said[4].startswith("error: it was contested already. The check typo is replaced")
    assert said[5].startswith("error: this ticket has no check 'nothing'; there are typo, good")
    assert said[6].startswith("passed")
    assert [(each["id"], each["criterion"]) for each in ticket.checks] == [("typo", 0), ("good", 1)]
    (contest,) = ticket.contests
    assert (contest["verdict"], contest["criterion"]) == ("mend", CRITERIA[0])
    assert contest["check"]["expect_text"] == "helo"
    assert any("The check typo is replaced: A letter was missing." in text for text in told)


async def test_a_mended_check_that_held_before_proves_nothing(house: House) -> None:
    easy = {"kind": "command", "id": "easy", "criterion": 0, "run": "true"}
    contests = [call("contest", id="mail", why="No mail leaves the box.")]
    verdicts = {"mail": {"verdict": "mend", "why": "As you like.", "check": easy}}
    job, _, told = await _build(house, _script([GOOD, MAIL], contests, verdicts, []))
    assert (job.status, job.verification) == ("build_done", "partly")
    assert "Ada gets a mail. (holds, but held before)" in told[-1] or any(
        "Ada gets a mail. (holds, but held before)" in text for text in told
    )


@pytest.mark.parametrize("checks", [[GOOD, MAIL], [GOOD, MAIL, GOOD | {"id": "lenient", "criterion": 1}]])
async def test_a_dropped_check_leaves_its_criterion_unproven_and_named(
    house: House, checks: list[dict[str, Any]]
) -> None:
    """Also if another check of it passes."""
    said: list[str] = []
    contests = [call("contest", id="mail", why="No mail leaves the box."), call("run_check", id="mail")]
    verdicts = {"mail": {"verdict": "drop", "why": "Nothing here can see a mail."}}
    job, ticket, told = await _build(house, _script(checks, contests, verdicts, said))
    assert (job.status, job.verification) == ("build_done", "partly"), (job.error_message, said)
    dropped = "The check mail is dropped, so its criterion stays unproven: Nothing here can see a mail."
    assert said[2:4] == [dropped, dropped]
    assert "mail" not in {check["id"] for check in ticket.checks}
    assert ticket.contests[0]["verdict"] == "drop"
    named = "Ada gets a mail. (its check was dropped: Nothing here can see a mail.)"
    assert any(named in text for text in told), told


async def test_the_only_check_is_not_dropped_and_a_useless_answer_keeps_it(house: House) -> None:
    said: list[str] = []
    contests = [call("contest", id="mail", why="No mail leaves the box.")]
    script = _script([MAIL], contests, {"mail": {"verdict": "drop", "why": "Gone."}}, said)
    job, ticket, _ = await _build(house, script)
    assert job.status == "failed"
    assert said[2].startswith("The check mail stays as it is: The Project Manager gave no answer that can be")
    assert [check["id"] for check in ticket.checks] == ["mail"]

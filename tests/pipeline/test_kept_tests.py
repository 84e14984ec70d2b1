"""Tests of closed tickets count as they were: deleting, emptying or rewriting them closes nothing."""

import re
from dataclasses import replace

import pytest

from app.domain.workspace import TEST_FILE
from app.store import rows
from tests.house import TERMS, House
from tests.pipeline.company import BACKLOG, builder, call, company
from tests.pipeline.test_bad_models import DONE, tickets
from workers.agents.facts import BuildingFacts
from workers.agents.outputs import TicketDraft
from workers.llm.model import Answer, Question, ToolCall
from workers.llm.scripted import Line, ScriptedModel

CHECKS = [
    {
        "id": "c",
        "criterion": 0,
        "kind": "command",
        "run": "python3 -m unittest discover -s tests",
        "expect_output": "OK",
    }
]
FIRST, SECOND = (
    TicketDraft.model_validate({**BACKLOG.tickets[place].model_dump(mode="json"), "checks": CHECKS})
    for place in (1, 2)
)
TESTED = BACKLOG.model_copy(update={"tickets": [BACKLOG.tickets[0], FIRST, SECOND]})

FRONT = """
import pathlib, unittest
class Front(unittest.TestCase):
    def test_it(self):
        self.assertIn("hello", pathlib.Path("server.py").read_text())
"""
ABOUT = FRONT.replace("hello", "by us")
BREAK = call("edit_file", path="server.py", old='"/": "hello"', new='"/": "by us"')
MORE = call("write_file", path="tests/test_about.py", content=ABOUT)

WEAKER: dict[str, list[ToolCall]] = {
    "deleted": [call("delete_file", path="tests/test_front.py")],
    "rewritten": [call("write_file", path="tests/test_front.py", content=ABOUT)],
    "skipped": [
        call("edit_file", path="tests/test_front.py", old="class", new="@unittest.skip('later')\nclass")
    ],
}


@pytest.mark.long
@pytest.mark.parametrize("how", WEAKER)
async def test_weakened_tests_close_nothing(house: House, how: str) -> None:
    """The second ticket breaks the first one's page, and has its tests say that this is fine."""

    def building(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if facts.ticket == "Page /":
            return builder(question) if turn != 1 else _both(question)
        return [BREAK, MORE, *WEAKER[how], call("finish", summary="All tests pass.")][turn]

    script = company(intake=lambda _: DONE, ticketing=lambda _: TESTED, building=building)
    async with house.worker(ScriptedModel(script), terms=replace(TERMS, ticket_attempts=1)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    status = {ticket.title: ticket.status for ticket in await tickets(house, job_id)}
    assert (status["Page /"], status["Page /about"]) == ("done", "failed")
    async with house.resources.look() as session:
        seen = await rows.evidence(session, job_id)
    second = [item for item in seen if item.phase in ("green", "regression")]
    assert ("green", True) in {(item.phase, item.passed) for item in second[1:]}, "its own words would do"
    assert ("regression", False) in {(item.phase, item.passed) for item in second}


def _both(question: Question) -> Line:
    manifest = builder(question)
    assert isinstance(manifest, ToolCall)
    test = call("write_file", path="tests/test_front.py", content=FRONT)
    return Answer("", "scripted", calls=(manifest, test))


async def test_tests_may_grow_in_files_that_were_there(house: House) -> None:
    def building(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if facts.ticket == "Page /":
            return builder(question) if turn != 1 else _both(question)
        grown = call(
            "write_file", path="tests/test_front.py", content=FRONT + ABOUT.replace("Front", "About")
        )
        return grown if turn == 1 else builder(question)

    script = company(intake=lambda _: DONE, ticketing=lambda _: TESTED, building=building)
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert job.error_message == ""
    assert job.status == "build_done"


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("tests/test_a.py", True),
        ("src/app.test.tsx", True),
        ("pkg/__tests__/x.js", True),
        ("a_test.py", True),
        ("conftest.py", True),
        ("latest.py", False),
        ("contest/server.py", False),
        ("src/testing.ts", False),
    ],
)
def test_what_a_test_file_is(path: str, holds: bool) -> None:
    assert bool(re.search(TEST_FILE, path)) is holds

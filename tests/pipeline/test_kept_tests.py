"""Tests of closed tickets are run as they were: deleting, emptying or rewriting them closes no ticket."""

import re
from dataclasses import replace

import pytest

from app.domain.workspace import STEERS_TESTS, TEST_FILE
from app.runtime.guest.kept import put_back
from app.store import rows
from tests.helpers.company import DONE, builder, call, company
from tests.helpers.house import TERMS, House, tickets
from tests.helpers.weakened import ABOUT, FRONT, TESTED, weakening, with_test
from workers.agents.facts import BuildingFacts
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "shown_by"),
    [
        ("deletes tests", ["regression"]),
        ("hides a module that the runner imports", []),
        ("puts a runner of its own in the way", ["green"]),
    ],
)
async def test_weakened_tests_close_nothing(house: House, how: str, shown_by: list[str]) -> None:
    """`tests/llm/test_bad_models.py` tries all ways. This test shows what stands in their way: the earlier
    ticket's check with its own tests, or that the commit is refused, so that nothing runs on it."""
    script = company(intake=lambda _: DONE, ticketing=lambda _: TESTED, building=weakening(how))
    async with house.worker(ScriptedModel(script), terms=replace(TERMS, ticket_attempts=1)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    found = {ticket.title: ticket for ticket in await tickets(house, job_id)}
    assert (found["Page /"].status, found["Page /about"].status) == ("done", "failed")
    async with house.resources.look() as session:
        seen = await rows.evidence(session, job_id)
    second = [item for item in seen if item.phase in ("green", "regression")]
    assert [item.phase for item in second if not item.passed] == shown_by
    if not shown_by:
        assert "instead of Python's own module" in found["Page /about"].reason


async def test_tests_may_grow_in_existing_files(house: House) -> None:
    def building(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if facts.ticket == "Page /":
            return builder(question) if turn != 1 else with_test(question)
        grown = call(
            "write_file", path="tests/test_front.py", content=FRONT + ABOUT.replace("Front", "About")
        )
        # The configuration of tests may grow, too, as long as the earlier tests pass without the additions.
        settings = call("write_file", path="setup.cfg", content="[tool:pytest]\naddopts = -q\n")
        done = call("finish", summary="Tested.")
        return builder(question) if turn == 0 else [grown, settings, done][turn - 1]

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
def test_which_files_are_tests(path: str, holds: bool) -> None:
    assert bool(re.search(TEST_FILE, path)) is holds


@pytest.mark.parametrize(
    ("path", "steers"),
    [
        ("package.json", True),
        ("web/pyproject.toml", True),
        ("pytest.ini", True),
        (".pytest.toml", True),
        ("vitest.config.ts", True),
        ("vite.config.mts", True),
        ("jest.setup.js", True),
        ("Makefile", True),
        ("run_tests.sh", True),
        ("unittest/__main__.py", True),
        (".mocharc.yml", True),
        ("shop.egg-info/entry_points.txt", True),
        ("package-lock.json", False),
        ("requirements.txt", False),
        ("src/contest.py", False),
        ("server.py", False),
        ("boardroom.json", False),
    ],
)
def test_which_files_configure_tests(path: str, steers: bool) -> None:
    assert bool(re.search(STEERS_TESTS, path)) is steers


PACKAGE = b'{"name": "a", "scripts": {"test": "vitest run"}, "dependencies": {"x": "1"}}'
PROJECT = b'[project]\nname = "a"\n\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n'


@pytest.mark.parametrize(
    ("path", "then", "now", "holds", "lacks"),
    [
        ("package.json", PACKAGE, PACKAGE.replace(b"vitest run", b"true"), '"vitest run"', '"true"'),
        ("package.json", PACKAGE, PACKAGE.replace(b'"test":', b'"pretest": "rm -r", "test":'), "", "rm"),
        ("package.json", PACKAGE, PACKAGE.replace(b'"1"', b'"1", "y": "2"'), '"y": "2"', "?"),
        ("package.json", PACKAGE, b"no JSON", '"vitest run"', "no JSON"),
        ("package.json", PACKAGE, PACKAGE.replace(b'"name"', b'"jest": {"roots": []}, "name"'), "", "roots"),
        ("pyproject.toml", PROJECT, PROJECT.replace(b'["tests"]', b'["other"]'), '["tests"]', "other"),
        ("pyproject.toml", PROJECT, b'tool.pytest.addopts = "--co"\n' + PROJECT, '["tests"]', "--co"),
        ("pyproject.toml", PROJECT, PROJECT.replace(b'"a"', b'"a"\ndependencies = ["y"]'), '["y"]', "?"),
        ("Makefile", b"test:\n\tpytest\n", b"test:\n\ttrue\n", "pytest", "true"),
    ],
)  # fmt: skip
def test_project_files_keep_test_settings_and_get_new_dependencies(
    path: str, then: bytes, now: bytes, holds: str, lacks: str
) -> None:
    """The parts that configure tests are the old ones; the dependencies are the new ones."""
    stands = put_back(path, then, now).decode()
    assert holds in stands
    assert lacks not in stands


def test_a_change_that_no_test_depends_on_is_kept() -> None:
    more = b'{"name": "b", "scripts": {"test": "vitest run", "lint": "eslint ."}, "dependencies": {"y": "2"}}'
    assert put_back("package.json", PACKAGE, more) == more
    grown = PROJECT.replace(b'name = "a"', b'name = "a"\ndependencies = ["y"]')
    assert put_back("pyproject.toml", PROJECT, grown) == grown

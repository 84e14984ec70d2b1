"""A test runner that ran no test proves nothing, whatever its exit code."""

import pytest

from app.domain.ticket import CommandCheck, FileCheck
from app.runtime.workspace import CheckResult
from tests.helpers.company import DONE, SERVER, call, company, story
from tests.helpers.house import House, tickets
from workers.agents.outputs import Backlog
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.proof.runners import judged

UNITTEST, PYTEST, VITEST, NODE = (
    "python3 -m unittest tests.test_a",
    "PYTHONPATH=. python3 -m pytest -q tests/test_a.py",
    "vitest run --configLoader native src/a.test.tsx",
    "node --test 'tests/*.test.js'",
)


@pytest.mark.parametrize(
    ("run", "said", "passed"),
    [
        (UNITTEST, "..\n-----\nRan 2 tests in 0.001s\n\nOK", True),
        (UNITTEST, "Ran 2 tests in 0.001s\n\nOK (skipped=1)", True),
        (UNITTEST, "Ran 2 tests in 0.001s\n\nOK (skipped=2)", False),
        (UNITTEST, "Ran 0 tests in 0.000s\n\nOK", False),
        (UNITTEST, "", False),
        (UNITTEST, "All is well.", False),
        (f"{UNITTEST} 2>&1", "", False),
        (f"{UNITTEST} > /dev/null && echo good", "good", True),
        (PYTEST, "..  [100%]\n2 passed in 0.01s", True),
        (PYTEST, "..                        [100%]", True),
        (PYTEST, "no tests ran in 0.01s", False),
        (PYTEST, "2 skipped in 0.01s", False),
        (PYTEST, "2 xfailed in 0.01s", False),
        (VITEST, " Test Files  1 passed (1)\n      Tests  2 passed (2)", True),
        (VITEST, "", False),
        (f"{VITEST} --reporter=json", '{"numPassedTests": 2}', True),
        (NODE, "# tests 2\n# pass 2\n# fail 0", True),
        (NODE, "ℹ tests 2\nℹ pass 2", True),
        (NODE, "# tests 0\n# pass 0", False),
        ("make test", "all good", True),
        ("python3 -m unittest_of_mine", "", True),
        ("test -f server.py", "", True),
    ],
)
def test_whether_a_run_has_run_tests(run: str, said: str, passed: bool) -> None:
    check = CommandCheck(id="c", criterion=0, run=run)
    assert judged(check, CheckResult(True, 0, said, 1)).passed is passed
    assert not judged(check, CheckResult(False, 1, said, 1)).passed


def test_other_checks_have_no_runner() -> None:
    seen = CheckResult(True, None, "Ran 0 tests", 1)
    assert judged(FileCheck(id="c", criterion=0, path="log.txt"), seen) == seen


TEST = """
import unittest
import server
class Front(unittest.TestCase):
    def test_it(self):
        self.assertEqual(server.PAGES["/"], "hello")
"""
LEAVES = 'import os, sys\nif "unittest" in sys.modules:\n    os._exit(0)\nPAGES = {"/": "hello"}\n'


async def test_code_that_ends_its_tests_proves_nothing(house: House) -> None:
    """It ends `python3 -m unittest` with exit code 0 at its import, before a test was run."""

    def building(question: Question) -> Line:
        if len(question.messages) > 1:
            return call("finish", summary="All tests pass.")
        writes = {"server.py": LEAVES + SERVER, "tests/test_front.py": TEST}
        return Answer("", "x", tuple(call("write_file", path=p, content=t) for p, t in writes.items()))

    page = story("T2", "/", "hello", "R1", []).model_dump(mode="json")
    check = {"id": "c1", "criterion": 0, "kind": "command", "run": UNITTEST.replace("_a", "_front")}
    both = {
        "requirements": ["R1", "R2"],
        "acceptance_criteria": ["The front page says hello.", "So does a test."],
    }
    backlog = Backlog.model_validate({"tickets": [{**page, **both, "parent": "", "checks": [check]}]})
    script = company(intake=lambda _: DONE, ticketing=lambda _: backlog, building=building)
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    assert [ticket.status for ticket in await tickets(house, job_id)] == ["failed"]

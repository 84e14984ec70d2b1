"""Failing tickets: what counts as progress, what help each attempt gets, and when they are given up."""

from typing import Any

import pytest

from tests.helpers.company import DONE, builder, call, company
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts, Failure
from workers.llm.lineup import Lineup
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.ticket.attempt import GaveUp, Limits
from workers.pipeline.ticket.ladder import Rung, Standing, Terms, climb, signature
from workers.pipeline.ticket.toolbox import ENDLESS
from workers.steps import Done


def failure(output: str, reason: str = "A check failed.") -> Failure:
    return Failure(reason=reason, criterion="It works.", check="{}", output=output)


SAME = (
    'FAIL: test_add\n  File "/scratch/check-1/app/tests/test_a.py", line 7\n0x7f3a01\nRan 3 tests in 0.004s',
    'FAIL: test_add\n  File "/scratch/check-22/app/tests/test_a.py", line 9\n0x7fee\nRan 3 tests in 1.2s',
    'Ran 3 tests in 0.1s\n0x7f\nFAIL: test_add\n  File "/tmp/xk_2/test_a.py", line 9',
)


def test_a_signature_leaves_out_what_varies_by_itself() -> None:
    assert len({signature([failure(output)]) for output in SAME}) == 1
    assert signature([failure(SAME[0])]) != signature([failure(SAME[0].replace("test_add", "test_edit"))])
    assert signature([failure("")]) != signature([failure("", reason="No `finish` within 40 turns.")])


def climbed(marks: str, *, most: int = 6, strong: bool = False, tried: str = "diff") -> list[str]:
    """The rungs of all attempts after the first. Equal letters are equal failures; `*` is an attempt that
    starts afresh."""
    now, rungs = Standing(begun=3, seen=[signature([failure("nothing")])]), list[str]()
    for number, mark in enumerate(marks, now.begun):
        now = climb(now, number, [failure(mark)], tried, Terms(most, strong))
        if now.over:
            return [*rungs, "over"]
        rungs.append(now.rung.name + "*" * now.fresh)
    return rungs


@pytest.mark.parametrize(
    ("rungs", "marks", "options"),
    [
        ("SHOWN DIFF FRESH* over", "aaaa", {}),
        ("SHOWN DIFF FRESH* STRONG* over", "aaaaa", {"strong": True}),
        ("SHOWN FRESH* over", "aaa", {"tried": ""}),
        ("SHOWN SHOWN SHOWN SHOWN SHOWN over", "abcdef", {}),
        ("SHOWN SHOWN SHOWN SHOWN STRONG over", "abcdef", {"strong": True}),
        ("SHOWN SHOWN DIFF FRESH* SHOWN over", "abbbca", {}),
        ("SHOWN STRONG* over", "aab", {"strong": True, "most": 3}),
        ("SHOWN STRONG over", "abc", {"strong": True, "most": 3}),
        ("SHOWN over", "ab", {"most": 2}),
        ("over", "a", {"most": 1, "strong": True}),
    ],
)
def test_progress_continues_and_repetition_gets_more_help(
    rungs: str, marks: str, options: dict[str, Any]
) -> None:
    assert climbed(marks, **options) == rungs.split()


def test_failing_as_with_nothing_done_is_no_progress() -> None:
    now = climb(Standing(1, seen=[signature([failure("x")])]), 1, [failure("y")], "d", Terms(6, strong=False))
    assert climb(now, 2, [failure("x")], "d", Terms(6, strong=False)).rung is Rung.DIFF


WAITS = call("run_command", command="tail -f /dev/null")


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([("ok, 1 s", "t1", 1.0)] * 4, "same run_command"),
        ([(f"{ENDLESS}\n{n}x", "t1", 60.0) for n in "abc"], "did not end by themselves"),
        ([("a", "t1", 1000.0), ("b", "t1", 900.0)], "took more than 30 minutes"),
        ([("ok", f"t{n}", 1.0) for n in range(20)], ""),
    ],
)
def test_an_attempt_has_limits_of_its_own(turns: list[tuple[str, str, float]], words: str) -> None:
    limits = Limits("t0")

    def go_on() -> None:
        for payload, tree, seconds in turns:
            limits.count(Answer("", "m", (WAITS,)), [Done(payload, tree)], seconds)

    if words:
        with pytest.raises(GaveUp, match=words):
            go_on()
    else:
        go_on()


@pytest.mark.long
async def test_a_builder_that_repeats_its_failures_gets_more_help_and_is_then_replaced(house: House) -> None:
    """Its attempts fail in the same way each time; then the model for hard cases succeeds."""
    shown: list[BuildingFacts] = []

    def wrong(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        if facts.ticket == "Page /":
            return builder(question)
        if len(question.messages) == 1:
            shown.append(facts)
            return call("write_file", path="about.txt", content="us")
        return call("finish", summary="There is a page now.")

    script = company(intake=lambda _: DONE, building=wrong)
    strong = ScriptedModel(company(), name="strong")
    async with house.worker(Lineup(ScriptedModel(script), strong=strong)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    assert [facts.attempt for facts in shown] == [1, 2, 3, 4]
    assert [bool(facts.failures) for facts in shown] == [False, True, True, True]
    assert ["+us" in facts.tried for facts in shown] == [False, False, True, True]
    assert ["about.txt" in facts.files for facts in shown] == [False, True, True, False]
    assert [facts.fresh for facts in shown] == [False, False, False, True]
    _, second = (ticket for ticket in await tickets(house, job_id) if ticket.type != "epic")
    assert [(done.title, done.summary) for done in shown[0].lately] == [("Page /", "The server answers.")]
    assert shown[0].serves == ["R2"]
    assert [item.description for item in shown[0].requirements] == ["Front page", "About"], "as promised"
    assert "server.py\n4:class Handler(http.server.BaseHTTPRequestHandler):" in shown[0].outline
    given = BuildingFacts.model_validate_json(strong.asked[0].messages[0].text)
    assert (given.attempt, given.fresh, "+us" in given.tried) == (5, True, True)
    assert second.attempts == 5

"""A check that failed and passes on the same files counts only if it passes three times more there."""

from typing import Any

import pytest

from app.domain.ticket import AnyCheck, HttpCheck
from app.runtime.workspace import CheckResult
from app.store import rows
from tests.helpers.company import DONE, builder, call, company
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.proof import trials


def unmoved(question: Question) -> Line:
    """Does its work in the first attempt, and nothing more in later ones."""
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    return call("finish", summary="It is right.") if shown.attempt > 1 else builder(question)


@pytest.mark.parametrize(
    ("outcomes", "attempts"), [([False, True, True, True, True], 2), ([False, True, False] + [True] * 4, 3)]
)
async def test_a_flaky_check_has_to_pass_again_and_again(
    house: House, monkeypatch: pytest.MonkeyPatch, outcomes: list[bool], attempts: int
) -> None:
    """Of the second page; the outcomes are those on the files of the ticket."""
    check_apart, planned = trials.check_apart, list(outcomes)
    base = list[str]()

    async def moody(context: Any, bench: Any, commit: Any, check: AnyCheck, hear: Any = None) -> CheckResult:
        result = await check_apart(context, bench, commit, check, hear)
        if not isinstance(check, HttpCheck) or check.path != "/about":
            return result
        base.append(commit.sha)
        if commit.sha == base[0]:
            return result  # before the ticket
        assert result.passed
        return result if planned.pop(0) else CheckResult(False, None, "not in the mood", 1)

    monkeypatch.setattr(trials, "check_apart", moody)
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE, building=unmoved))):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification, planned) == ("build_done", "verified", [])
    (about,) = [ticket for ticket in await tickets(house, job.id) if ticket.title == "Page /about"]
    assert about.attempts == attempts
    told = [event for event in await house.events(job.id) if event.get("metadata", {}).get("flaky")]
    assert [(event["ticketId"], event["metadata"]["flaky"]) for event in told] == [(str(about.id), "c1")]
    assert "The check c1 is flaky" in told[0]["message"]
    async with house.resources.look() as session:
        seen = [item for item in await rows.evidence(session, job.id) if item.ticket_id == about.id]
    assert [(item.phase, item.passed) for item in seen if item.phase != "red"] == [
        ("green", False),
        ("green", True),
        ("final", True),
    ]
    assert "has failed before; since then it has passed 4 times in a row" in seen[-1].output_tail

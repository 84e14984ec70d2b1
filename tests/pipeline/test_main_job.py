"""The main job from the idea to the answering app, with a real database, Redis and box."""

import pytest

from app.domain.job import ORDER
from app.domain.ticket import CHECK
from app.runtime import checker
from app.runtime.guest.page import NO_BROWSER
from tests.helpers.company import BACKLOG, company
from tests.helpers.house import House
from workers.llm.scripted import ScriptedModel


async def test_an_idea_becomes_a_verified_app(house: House) -> None:
    model = ScriptedModel(company())
    async with house.worker(model):
        job_id = await house.begin()
        job = await house.until_finished(job_id)
    assert (job.status, job.error_message) == ("build_done", "")
    assert job.verification == "verified"
    assert job.manifest is not None
    assert job.manifest["start"] == "python3 server.py"
    events = await house.events(job_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [e["status"] for e in events if e["kind"] == "jobStatus"] == [str(s) for s in ORDER[1:]]
    assert job.last_seq == len(events)
    assert job.model_calls == len(model.asked)
    assert not any("Ada" in message.text for question in model.asked for message in question.messages)


async def test_a_check_that_a_box_cannot_run_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a browser a page check neither fails nor passes."""
    monkeypatch.setattr(checker, "_PROGRAM", f"raise SystemExit({NO_BROWSER})")
    page = {"id": "c2", "criterion": 1, "kind": "page", "path": "/", "expect_text": "hello"}
    first = BACKLOG.tickets[1]
    both = [*first.acceptance_criteria, "It looks fine."]
    seen = first.model_copy(
        update={"acceptance_criteria": both, "checks": [*first.checks, CHECK.validate_python(page)]}
    )
    backlog = BACKLOG.model_copy(update={"tickets": [BACKLOG.tickets[0], seen, BACKLOG.tickets[2]]})
    async with house.worker(ScriptedModel(company(ticketing=lambda _: backlog))):
        job = await house.until_finished(await house.begin())
    assert (job.status, job.verification) == ("build_done", "partly")
    words = [event.get("content", "") for event in await house.events(job.id)]
    assert any("Page /: It looks fine. (not checked: the box has no browser)" in said for said in words)

"""A ticket that broke an earlier one is found at the end by bisection, and repaired once or reported."""

import pytest

from app.store import rows
from tests.helpers.company import BACKLOG, DONE, builder, call, company, story
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.ticket import trial

FOUR = BACKLOG.model_copy(
    update={
        "tickets": [
            *BACKLOG.tickets,
            story("T4", "/contact", "mail", "R2", ["T3"]),
            story("T5", "/help", "tips", "R2", ["T4"]),
        ]
    }
)


@pytest.mark.parametrize("mends", [pytest.param(True, marks=pytest.mark.long), False])
async def test_the_ticket_that_broke_an_earlier_one_is_found(
    house: House, monkeypatch: pytest.MonkeyPatch, mends: bool
) -> None:
    """Here no time is allowed for earlier checks between tickets, and `/contact` breaks `/`."""
    monkeypatch.setattr(trial, "REGRESSION_S", -1)

    def breaks(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        if facts.ticket == "Page /contact" and turn == 1:
            return call("edit_file", path="server.py", old='"/": "hello"', new='"/": "gone"')
        if facts.ticket == "Page /help" and turn == 0:
            return call("edit_file", path="server.py", old="PAGES = {", new='PAGES = {"/help": "tips", ')
        if facts.ticket.startswith("Mend"):
            edit = call("edit_file", path="server.py", old='"/": "gone"', new='"/": "hello"')
            return edit if mends and turn == 0 else call("finish", summary="It says hello again.")
        return builder(question)

    script = company(intake=lambda _: DONE, ticketing=lambda _: FOUR, building=breaks)
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    found = await tickets(house, job_id)
    mended = found[-1]
    assert mended.title == "Mend: / says hello."
    assert (mended.requirements, len(mended.checks)) == (["R1"], 1)
    culprit = next(ticket for ticket in found if ticket.title == "Page /contact")
    assert culprit.commit is not None
    assert f"the commit {culprit.commit[:10]} of “Page /contact” broke it" in mended.description
    status = {ticket.title: ticket.status for ticket in found}
    if mends:
        assert (job.status, job.verification) == ("build_done", "verified")
        assert set(status.values()) == {"done"}
    else:
        assert (job.status, job.failure_code) == ("failed", "checks_failed")
        assert (status[mended.title], status["Page /"], status["Page /help"]) == ("failed", "failed", "done")
    async with house.resources.look() as session:
        seen = await rows.evidence(session, job_id)
    halved = [item for item in seen if item.phase == "bisect"]
    assert [item.passed for item in halved] == [False, True], "no more than it takes"

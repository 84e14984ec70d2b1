"""The review: it happens once, its findings are repaired once, and each has to be shown by a check."""

import pytest

from app.runtime import checker
from app.runtime.guest.page import NO_BROWSER
from tests.helpers.company import DONE, builder, call, company
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts, ReviewFacts
from workers.agents.outputs import FixDraft, Review
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel
from workers.profiles.served import Served


def fix(title: str, path: str, status: int) -> FixDraft:
    return FixDraft.model_validate(
        {
            "title": title,
            "description": f"{path} has to answer {status}.",
            "requirements": ["R2"],
            "acceptance_criteria": [f"{path} answers {status}."],
            "checks": [{"id": "c", "criterion": 0, "kind": "http", "path": path, "expect_status": status}],
        }
    )


async def test_findings_of_the_review_are_repaired_once_if_a_check_shows_them(house: House) -> None:
    found = Review(message="Almost.", fixes=[fix("Answer /legal", "/legal", 200), fix("Answer /", "/", 200)])

    def building(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        if facts.ticket != "Answer /legal":
            return builder(question)
        edit = call("edit_file", path="server.py", old="PAGES = {", new='PAGES = {"/legal": "law", ')
        return edit if len(question.messages) == 1 else call("finish", summary="There it is.")

    unknown = Review(message="?", fixes=[found.fixes[0].model_copy(update={"requirements": ["R9"]})])
    model = ScriptedModel(company(intake=lambda _: DONE, building=building, review=[unknown, found]))
    async with house.worker(model):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    asked = [question for question in model.asked if question.purpose == "review"]
    assert len(asked) == 2, "asked again for an unknown requirement, and never after the fix"
    shown = ReviewFacts.model_validate_json(asked[0].messages[0].text)
    assert "+PAGES" in shown.diff
    assert [ticket.title for ticket in shown.tickets] == ["Page /", "Page /about"]
    opened = [ticket for ticket in await tickets(house, job_id) if ticket.title.startswith("Answer")]
    assert [(ticket.title, ticket.status) for ticket in opened] == [("Answer /legal", "done")]
    said = [e for e in await house.events(job_id) if e.get("sender") == "CTO"][-1]
    assert "Opened:\n- Answer /legal" in said["content"]
    assert "was seen to fail:\n- Answer /" in said["content"]
    assert said["metadata"]["model"] == "scripted"


SEEN = FixDraft.model_validate(
    {
        "title": "Say welcome",
        "description": "The front page does not greet.",
        "requirements": ["R1"],
        "acceptance_criteria": ["/ says welcome."],
        "checks": [{"id": "c", "criterion": 0, "kind": "page", "path": "/", "expect_text": "welcome"}],
    }
)


def _greets(question: Question) -> Line:
    facts = BuildingFacts.model_validate_json(question.messages[0].text)
    if facts.ticket != SEEN.title:
        return builder(question)
    edit = call("edit_file", path="server.py", old='"hello"', new='"hello and welcome"')
    return edit if len(question.messages) == 1 else call("finish", summary="It greets.")


@pytest.mark.long
async def test_the_reviewer_may_look_with_a_browser_where_there_is_one(house: House) -> None:
    there = await Served().browser(house.resources.runtime)
    found = Review(message="Almost.", fixes=[SEEN])
    model = ScriptedModel(company(intake=lambda _: DONE, building=_greets, review=[found]))
    async with house.worker(model):
        job_id = await house.create()
        job = await house.until_finished(job_id, within_s=100)
    assert (job.status, job.verification) == ("build_done", "verified")
    (asked,) = [question for question in model.asked if question.purpose == "review"]
    assert ReviewFacts.model_validate_json(asked.messages[0].text).browser is there
    opened = [(t.title, t.status) for t in await tickets(house, job_id) if t.title == SEEN.title]
    assert opened == ([(SEEN.title, "done")] if there else [])


async def test_findings_that_need_a_browser_are_told_and_get_no_ticket(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker, "_PROGRAM", f"raise SystemExit({NO_BROWSER})")
    found = Review(message="Almost.", fixes=[SEEN])
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE, review=[found]))):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    said = [e["content"] for e in await house.events(job_id) if e.get("sender") == "CTO"][-1]
    assert f"no browser to see it with:\n- {SEEN.title}" in said

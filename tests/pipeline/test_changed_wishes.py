"""A continuation that changes a requirement: its tickets are done again, all others stay."""

from typing import Any
from uuid import UUID

from app.actions import runs
from app.store import rows
from app.store.tables import Job
from tests.helpers.company import (
    DONE,
    OUTLINE,
    REQUIREMENTS,
    SERVER,
    asked_ticket,
    builder,
    call,
    checks,
    company,
    story,
)
from tests.helpers.house import House, tickets
from workers.agents.facts import BuildingFacts, TicketingFacts
from workers.agents.outputs import Backlog, Checks, Requirements
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.spec import Spec

WISH = "The front page shall say goodbye."
GOODBYE = REQUIREMENTS[0].model_copy(update={"description": "It says goodbye."})
ABOUT = REQUIREMENTS[1]


async def play(house: House, model: ScriptedModel) -> tuple[Job, Job]:
    """The job after its first run, and after the continuation."""
    async with house.worker(model):
        job_id = await house.create()
        first = await house.until_finished(job_id)
        await runs.continue_job(house.resources, house.user_id, "Ada", job_id, WISH)
        return first, await house.until_finished(job_id)


async def spec(house: House, job_id: UUID) -> Spec:
    async with house.resources.look() as session:
        (app,) = await rows.apps(session, job_id)
    return Spec.model_validate(app.spec)


def analysis(question: Question) -> Line:
    """An analysis that also rewords requirements which the client did not ask to change."""
    if WISH not in question.messages[0].text:
        return Requirements(summary="Two pages.", requirements=REQUIREMENTS)
    reworded = ABOUT.model_copy(update={"description": "Whatever."})
    return Requirements(summary="Two pages.", requirements=[GOODBYE, reworded], changed=["R1"])


def ticketing(question: Question) -> Line:
    shown = TicketingFacts.model_validate_json(question.messages[0].text)
    again = [ticket for ticket in shown.known if ticket.changed]
    if not shown.continuation:
        return OUTLINE
    (front,) = again
    assert shown.uncovered == ["R1"]
    assert front.acceptance_criteria == ["/ says hello."]
    page = story("T1", "/", "goodbye", "R1", []).model_copy(update={"parent": "", "checks": []})
    if len(question.messages) == 1:
        return Backlog(tickets=[page])
    assert "those `changed` are not taken up" in question.messages[-1].text
    return Backlog(tickets=[page.model_copy(update={"key": front.id})])


def proving(question: Question) -> Line:
    asked = asked_ticket(question)
    if asked.before:
        assert [check.model_dump()["expect_text"] for check in asked.before] == ["hello"]
        assert asked.criteria_before == ["/ says hello."]
        new = story("T1", "/", "goodbye", "R1", []).checks[0].model_copy(update={"id": "c2"})
        return Checks(checks=[new])
    return checks(question)


def building(question: Question) -> Line:
    facts = BuildingFacts.model_validate_json(question.messages[0].text)
    if "goodbye" not in facts.acceptance_criteria[0]:
        return builder(question)
    if len(question.messages) > 1:
        return call("finish", summary="It says goodbye.")
    pages = 'PAGES = {"/": "goodbye", "/about": "by us"}'
    text = SERVER.replace('PAGES = {"/": "hello"}', pages)
    return Answer("", "x", (call("write_file", path="server.py", content=text),))


TOLD: dict[str, Any] = {
    "intake": lambda _: DONE,
    "analysis": analysis,
    "ticketing": ticketing,
    "checks": proving,
}


async def test_a_changed_requirement_is_built_again(house: House) -> None:
    model = ScriptedModel(company(**TOLD, building=building))
    first, job = await play(house, model)
    assert (first.verification, job.status, job.verification) == ("verified", "build_done", "verified")
    found = {ticket.title: ticket for ticket in await tickets(house, job.id)}
    assert {title: (ticket.status, ticket.attempts) for title, ticket in found.items()} == {
        "The pages": ("done", 0),
        "Page /": ("done", 2),
        "Page /about": ("done", 1),
    }
    assert found["Page /"].acceptance_criteria == ["/ says goodbye."]
    assert (await spec(house, job.id)).requirement_list == [GOODBYE, ABOUT], "only what is said to change"


async def test_a_changed_requirement_does_not_count_as_done(house: House) -> None:
    """No ticket builds the change, and the page still shows the old text."""

    def lazy(question: Question) -> Line:
        facts = BuildingFacts.model_validate_json(question.messages[0].text)
        again = "goodbye" in facts.acceptance_criteria[0]
        return call("finish", summary="It says goodbye.") if again else builder(question)

    model = ScriptedModel(company(**TOLD, building=lazy))
    _, job = await play(house, model)
    assert (job.status, job.failure_code) == ("failed", "checks_failed")


async def test_a_new_requirement_cannot_be_listed_as_changed(house: House) -> None:
    odd = Requirements(summary="Two pages.", requirements=REQUIREMENTS, changed=["R1"])
    good = odd.model_copy(update={"changed": []})
    model = ScriptedModel(company(intake=lambda _: DONE, analysis=[odd, good]))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert job.status == "build_done"
    again = [question for question in model.asked if question.purpose == "analysis"][1]
    assert "R1 was not there before" in again.messages[-1].text

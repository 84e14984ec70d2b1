"""Tickets that the client wrote into the backlog: none is lost, and none is done without a check."""

from uuid import UUID

from app.actions import backlog, runs
from app.domain.backlog import NewTicket
from tests.helpers.company import BACKLOG, DONE, HeldModel, company, story
from tests.helpers.house import House, tickets
from workers.agents.facts import KnownTicket, TicketingFacts
from workers.agents.outputs import Backlog
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel


async def write(house: House, job_id: UUID) -> UUID:
    made = await tickets(house, job_id)
    epic = next(ticket for ticket in made if ticket.type == "epic")
    new = NewTicket.model_validate(
        {
            "type": "story",
            "title": "Page /team",
            "description": "Who we are.",
            "acceptance_criteria": ["/team says names."],
            "parent_id": str(epic.id),
            "dependencies": [str(made[-1].id)],
        }
    )
    return await backlog.add_ticket(house.resources, house.user_id, job_id, new)


async def test_the_next_backlog_takes_it_up_with_checks(house: House) -> None:
    shown: list[KnownTicket] = []

    def ticketing(question: Question) -> Line:
        known = TicketingFacts.model_validate_json(question.messages[0].text).known
        mine = [ticket for ticket in known if ticket.of_client]
        if not mine:
            return BACKLOG
        shown.extend(mine)
        page = story(mine[0].id, "/team", "names", "R2", mine[0].depends_on)
        return Backlog(tickets=[page.model_copy(update={"parent": mine[0].parent})])

    async with house.worker(ScriptedModel(company(intake=lambda _: DONE, ticketing=ticketing))):
        job_id = await house.create()
        await house.until_finished(job_id)
        before = await tickets(house, job_id)
        added = await write(house, job_id)
        await runs.continue_job(house.resources, house.user_id, "Ada", job_id, "Do what I wrote down.")
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    (known,) = shown
    assert (known.id, known.description, known.acceptance_criteria, known.depends_on) == (
        str(added),
        "Who we are.",
        ["/team says names."],
        [str(before[-1].id)],
    )
    last = (await tickets(house, job_id))[-1]
    assert (last.id, last.status, last.of_client, bool(last.commit)) == (added, "done", False, True)
    assert str(last.parent_id) == known.parent
    assert {ticket.id for ticket in before} < {ticket.id for ticket in await tickets(house, job_id)}


async def test_without_a_check_it_is_left_out_and_named(house: House) -> None:
    model = HeldModel("building")
    async with house.worker(model):
        job_id = await house.create()
        await model.came.wait()
        await runs.cancel_job(house.resources, house.user_id, job_id)
        added = await write(house, job_id)
        model.go.set()
        await runs.retry_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "partly")
    last = (await tickets(house, job_id))[-1]
    assert (last.id, last.status, last.attempts) == (added, "skipped", 0)
    words = [event.get("content", "") for event in await house.events(job_id)]
    assert any(f"Left out:\n- Page /team: {last.reason}" in said for said in words)

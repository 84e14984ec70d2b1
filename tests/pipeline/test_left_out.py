"""A requirement without a ticket is not done, whatever else was proven."""

from tests.helpers.company import BACKLOG, REQUIREMENTS, company
from tests.helpers.house import House
from workers.agents.outputs import Backlog, ClientReply, Requirement, Requirements
from workers.llm.scripted import ScriptedModel

DONE = ClientReply(reply="Thank you.", done=True, summary="Three pages.")
NICE = Requirement(id="R3", title="A guest book", description="Guests can sign.", priority="could")


async def test_a_requirement_that_the_prd_leaves_out_is_named(house: House) -> None:
    wanted = Requirements(summary="Three pages.", requirements=[*REQUIREMENTS, NICE])
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE, analysis=lambda _: wanted))):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "partly")
    *_, closing, _ = await house.events(job_id)
    assert "Left out:\n- A guest book: no ticket was made for it." in closing["content"]


async def test_a_plan_that_leaves_everything_out_builds_nothing(house: House) -> None:
    """The scaffold answers requests, but it is not the client's app."""
    why = {"skip_reason": "It cannot be done here.", "checks": [], "parent": "", "depends_on": []}
    tickets = [ticket.model_copy(update=why) for ticket in BACKLOG.tickets[1:]]
    script = company(intake=lambda _: DONE, ticketing=lambda _: Backlog(tickets=tickets))
    async with house.worker(ScriptedModel(script)):
        job = await house.until_finished(await house.create())
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    assert "Nothing was built" in job.error_message
    assert "“Page /”: It cannot be done here." in job.error_message

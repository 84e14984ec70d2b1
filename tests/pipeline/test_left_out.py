"""What nobody made a ticket for is not done, whatever else was proven."""

from tests.house import House
from tests.pipeline.company import REQUIREMENTS, company
from workers.agents.outputs import ClientReply, Requirement, Requirements
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

"""A finished job with an app that keeps entries, and a continuation of it."""

from uuid import UUID

from app.actions import runs
from tests.helpers.company import DONE, MORE, growing_company
from tests.helpers.entries import builder, enter
from tests.helpers.house import House
from workers.llm.scripted import ScriptedModel

STORE = "data/entries.txt"


def company() -> ScriptedModel:
    return ScriptedModel({**growing_company(), "intake": lambda _: DONE, "building": builder(STORE)})


async def built(house: House) -> UUID:
    """A finished job, in whose app the client has made an entry."""
    async with house.worker(company()):
        job_id = await house.create()
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.verification) == ("build_done", "verified"), job.error_message
        await enter(house, job_id, "milk")
    return job_id


async def more(house: House, job_id: UUID) -> None:
    await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)

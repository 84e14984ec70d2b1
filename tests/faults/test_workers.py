"""Workers that hang, and machines on which no box can be made."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.store import runs
from app.store.tables import Run
from tests.helpers.company import DONE, HeldModel, company
from tests.helpers.house import TERMS, House
from tests.helpers.waiting import until
from workers.leases import Desk
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel


async def test_a_worker_that_was_stopped_cannot_write_any_more(house: House) -> None:
    """Its lease ends while it is stopped, another worker finishes the job, then it continues."""
    hanging = HeldModel("building")
    zombie = Desk(house.resources, Lineup(hanging), "zombie", TERMS)
    job_id = await house.create()
    async with house.resources.unit() as unit:
        run = await runs.latest(unit.session, job_id)
    assert run is not None

    async def is_hanging() -> bool:
        await zombie.offer(run.id)  # again after the conversation
        return hanging.came.is_set()

    await until(is_hanging)
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE)), "healthy"):
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    before = await house.events(job_id)
    hanging.go.set()

    async def idle() -> bool:
        return not zombie._held

    await until(idle)
    assert await house.events(job_id) == before
    assert (await house.job(job_id)).model_calls == job.model_calls
    await zombie.close()


async def test_a_worker_whose_leases_ended_continues_its_runs(house: House) -> None:
    """As after an outage of PostgreSQL: no other worker has taken the run, so nothing is asked twice."""
    held = HeldModel("building")
    async with house.worker(held, terms=replace(TERMS, lease_s=30)):
        job_id = await house.create()
        await held.came.wait()
        async with house.resources.unit() as unit:
            run = await runs.latest(unit.session, job_id)
            assert run is not None
            run.lease_until = datetime.now(UTC) - timedelta(seconds=1)
        other = await house.create()  # when this is answered, the free slots were filled at least once
        await house.until_answered(other, 1)
        async with house.resources.look() as session:
            now = await session.get_one(Run, run.id)
        assert now.fence == run.fence
        held.go.set()
        assert (await house.until_finished(job_id)).status == "build_done"
    assert {attempt.outcome for attempt in await house.attempts(job_id)} == {"answered"}


async def test_two_workers_share_the_work_and_do_nothing_twice(house: House) -> None:
    models = [ScriptedModel(company(intake=lambda _: DONE)) for _ in range(2)]
    async with house.worker(models[0], "w1"), house.worker(models[1], "w2"):
        made = [await house.create() for _ in range(4)]
        finished = await asyncio.gather(*(house.until_finished(job_id) for job_id in made))
    assert {job.status for job in finished} == {"build_done"}
    assert sum(job.model_calls for job in finished) == sum(len(model.asked) for model in models)

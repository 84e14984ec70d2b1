"""Boxes of deleted jobs that cannot be removed: they delay neither runs nor the removal of other boxes."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from app.actions import jobs
from app.actions.removals import AGAIN_S, remove_boxes, remove_left_over, remove_orphans
from app.runtime.local.runtime import LocalRuntime
from app.runtime.workspace import SandboxUnavailable
from app.runtime.worlds import World
from app.store.tables import Job, Removal
from tests.helpers.company import company
from tests.helpers.house import House
from workers.llm.scripted import ScriptedModel


class Stubborn(LocalRuntime):
    """A runtime that cannot remove the boxes of the jobs in `kept`: it raises, or never returns if it
    `hangs`."""

    def __init__(self, house: House, *, hangs: bool = False, kept: Iterable[UUID] = ()) -> None:
        assert isinstance(house.resources.runtime, LocalRuntime)
        super().__init__(house.resources.runtime._folder)
        self.hangs, self.kept = hangs, set(kept)
        self.asked = asyncio.Event()

    async def destroy(self, job_id: UUID) -> None:
        if job_id in self.kept:
            self.asked.set()
            if self.hangs:
                await asyncio.Event().wait()
            raise SandboxUnavailable("the engine is tired")
        await super().destroy(job_id)


async def waiting(house: House) -> set[UUID]:
    async with house.resources.look() as session:
        return set(await session.scalars(text("select job_id from removals")))


async def test_an_engine_that_hangs_holds_up_no_run(house: House) -> None:
    stubborn = Stubborn(house, hangs=True)
    house.resources = replace(house.resources, runtime=stubborn)
    async with house.worker(ScriptedModel(company())):
        job_id = await house.create()
        stubborn.kept.add(job_id)
        await house.until_answered(job_id, 1)
        await jobs.delete_job(house.resources, house.user_id, job_id)
        async with asyncio.timeout(5):
            await stubborn.asked.wait()
        await house.until_answered(await house.create(), 1)
    assert await waiting(house) == {job_id}


async def test_boxes_that_cannot_be_removed_do_not_block_others(house: House) -> None:
    stuck = [uuid7() for _ in range(25)]
    resources = replace(house.resources, runtime=Stubborn(house, kept=stuck))
    for job_id in stuck:
        async with resources.unit() as unit:
            unit.session.add(Removal(job_id=job_id))
    last = await house.create()
    await jobs.delete_job(resources, house.user_id, last)
    for _ in range(2):
        await remove_boxes(resources)
    assert await waiting(house) == set(stuck)


async def test_failed_removals_are_tried_again(house: House) -> None:
    job_id = await house.create()
    stubborn = Stubborn(house, kept=[job_id])
    resources = replace(house.resources, runtime=stubborn)
    await jobs.delete_job(resources, house.user_id, job_id)
    assert await remove_boxes(resources) == 0
    stubborn.kept.clear()
    assert await remove_boxes(resources) == 0
    async with resources.unit() as unit:
        earlier = text("update removals set not_before = not_before - :again * interval '1 s'")
        await unit.session.execute(earlier, {"again": AGAIN_S})
    assert await remove_boxes(resources) == 1
    assert await waiting(house) == set()


async def test_an_orphan_that_cannot_be_removed_does_not_block_others(house: House) -> None:
    orphans = {uuid7() for _ in range(3)}
    for job_id in orphans:
        await (await house.resources.runtime.attach(job_id, create=True)).close()
    stuck = min(orphans)
    resources = replace(house.resources, runtime=Stubborn(house, kept=[stuck]))
    suspects = await remove_orphans(resources, frozenset())
    assert suspects == orphans
    assert await remove_orphans(resources, suspects) == {stuck}
    assert await resources.runtime.boxes() == {stuck}


async def test_what_a_run_has_left_is_discarded_and_its_work_is_not(house: House) -> None:
    left, working, unfinished = [await house.create() for _ in range(3)]
    runtime = house.resources.runtime
    for job_id in (left, working, unfinished):
        for world in (World.APP, World.BENCH, World.TRIAL):
            await (await runtime.attach(job_id, world=world, create=True)).close()
    async with house.resources.unit() as unit:
        for job_id, status, head in (
            (left, "build_done", None),
            (working, "building", None),
            (unfinished, "failed", "0" * 40),
        ):
            job = await unit.session.get_one(Job, job_id)
            job.status, job.head = status, head
    assert await remove_left_over(house.resources) == 3
    kept = {(box.job_id, box.world) for box in await runtime.worlds()}
    everything = {(job_id, world) for job_id in (left, working, unfinished) for world in World}
    assert everything - kept == {(left, World.BENCH), (left, World.TRIAL), (unfinished, World.TRIAL)}
    assert await remove_left_over(house.resources) == 0

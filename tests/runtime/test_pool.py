"""The pool of spare boxes: a job adopts one, only one job gets each, and all of them are removed in the
end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from app.runtime.docker.boxes import INSTANCE, POOL, DockerBox, Fleet
from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import ContainerLimits
from app.runtime.docker.pool import Pool
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.workspace import FenceLost
from app.runtime.worlds import BoxId, World
from tests.helpers.boxes import ENGINE, docker_runtime

Process = Callable[..., DockerRuntime]


@pytest.fixture
async def engine(docker_boxes: None) -> AsyncIterator[Engine]:
    engine = Engine(ENGINE)
    yield engine
    await engine.close()


@pytest.fixture
def instance() -> str:
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def process(instance: str, engine: Engine) -> AsyncIterator[Process]:
    """A function that makes a runtime which keeps one spare box. All boxes are removed afterwards."""
    made: list[DockerRuntime] = []

    def make(**settings: Any) -> DockerRuntime:
        made.append(docker_runtime(instance, **{"spare_boxes": 1, **settings}))
        return made[-1]

    yield make
    cleaner = make()
    for job_id in await cleaner.boxes():
        await cleaner.destroy(job_id)
    await cleaner.stop_all()
    for runtime in made:
        await runtime.close()
    assert await left(engine, instance) == []


async def left(engine: Engine, instance: str) -> list[str]:
    labels = {INSTANCE: instance}
    return [*await engine.containers(labels), *await engine.volumes(labels)]


async def ids(engine: Engine, instance: str) -> dict[str, str]:
    """The names of all containers, by their ids."""
    return {each.id: name for name, each in (await engine.containers({INSTANCE: instance})).items()}


def spare(names: dict[str, str]) -> list[str]:
    return sorted(ident for ident, name in names.items() if "-pool-" in name)


async def test_a_bench_adopts_a_box_too_and_goes_with_its_job(
    process: Process, engine: Engine, instance: str
) -> None:
    runtime, job = process(), uuid4()
    await (await runtime.attach(job, create=True)).close()
    await runtime.rest()
    [waiting] = spare(await ids(engine, instance))
    worker = await runtime.attach(job, world=World.BENCH, fence=1, create=True)
    assert (await ids(engine, instance))[waiting] == f"boardroom-{instance}-bench-{job}"
    await worker.save("a", b"1")
    await worker.close()
    assert await runtime.worlds() == {BoxId(job), BoxId(job, World.BENCH)}
    await runtime.discard(job, World.BENCH)
    assert list((await ids(engine, instance)).values()) == [f"boardroom-{instance}-{job}"]
    assert await runtime.worlds() == {BoxId(job)}
    # Half-made by a process that died: it has a place for its files, but no container.
    half = DockerBox(await runtime._ours(), BoxId(job, World.TRIAL, 2))
    await half.create()
    await runtime.destroy(job)
    assert await left(engine, instance) == []


async def test_a_job_adopts_a_box_and_the_next_one_is_made(
    process: Process, engine: Engine, instance: str
) -> None:
    runtime, job = process(), uuid4()
    await runtime.rest()
    [waiting] = spare(await ids(engine, instance))
    assert await runtime.boxes() == set()
    worker = await runtime.attach(job, fence=1, create=True)
    assert await ids(engine, instance) == {waiting: f"boardroom-{instance}-{job}"}
    await worker.save("a", b"1")
    assert (await runtime.status(job)).state == "running"
    assert await runtime.boxes() == {job}
    await runtime.rest()
    assert len(spare(await ids(engine, instance))) == 1
    await runtime.rest()
    assert len(spare(await ids(engine, instance))) == 1
    other = await process().attach(job, fence=2)
    with pytest.raises(FenceLost):
        await worker.read("a")
    assert (await other.read("a")).content == b"1"
    await engine.remove(f"boardroom-{instance}-{job}")
    again = await process().attach(job, fence=3)
    assert (await again.read("a")).content == b"1"
    await runtime.destroy(job)
    assert await runtime.boxes() == set()
    assert await engine.volumes({"boardroom.job": str(job)}) == {}
    for workspace in (worker, other, again):
        await workspace.close()


async def test_only_one_of_two_jobs_adopts_a_box(process: Process, engine: Engine, instance: str) -> None:
    for _ in range(5):
        await process().rest()
        [waiting] = spare(await ids(engine, instance))
        one, two, jobs = process(), process(), [uuid4(), uuid4()]
        boxes = await asyncio.gather(
            one.attach(jobs[0], fence=1, create=True), two.attach(jobs[1], fence=1, create=True)
        )
        names = await ids(engine, instance)
        assert sorted(names.values()) == sorted(f"boardroom-{instance}-{job}" for job in jobs)
        assert waiting in names
        for number, box in enumerate(boxes):
            await box.save("a", str(number).encode())
        assert [(await box.read("a")).content for box in boxes] == [b"0", b"1"]
        for box, job in zip(boxes, jobs, strict=True):
            await box.close()
            await one.destroy(job)


async def test_of_two_processes_that_want_a_jobs_box_at_once(
    process: Process, engine: Engine, instance: str
) -> None:
    for _ in range(5):
        await process(spare_boxes=2).rest()
        job = uuid4()
        boxes = await asyncio.gather(*(process().attach(job, create=True) for _ in range(3)))
        await boxes[0].save("a", b"1")
        assert [(await box.read("a")).content for box in boxes] == [b"1"] * 3
        assert len(set(await ids(engine, instance)) - set(spare(await ids(engine, instance)))) == 1
        await process().destroy(job)


async def test_boxes_claimed_by_a_dead_process_are_found_or_removed(
    process: Process, engine: Engine, instance: str
) -> None:
    runtime, forgotten, later = process(spare_boxes=2), uuid4(), uuid4()
    await runtime.rest()
    pool = Pool(Fleet(engine, instance, runtime._recipe))
    assert await pool.claim(BoxId(forgotten))
    taken = await pool.claim(BoxId(later))
    assert taken is not None
    volume = {INSTANCE: instance, "boardroom.job": str(later), POOL: taken}
    await engine.create_volume(f"boardroom-{instance}-{later}-app", volume)
    box = await runtime.attach(later, create=True)
    await box.save("a", b"1")
    for _ in range(2):
        await runtime.rest()
    names = await ids(engine, instance)
    assert len(spare(names)) == 2
    assert taken not in names.values()
    assert (await box.read("a")).content == b"1"
    assert await runtime.boxes() == {forgotten, later}


async def test_spare_boxes_of_another_version_or_that_have_ended_are_replaced(
    process: Process, engine: Engine, instance: str
) -> None:
    await process().rest()
    [old] = spare(await ids(engine, instance))
    newer = process(limits=ContainerLimits(idle_s=60, processes=99))
    for _ in range(2):
        await newer.rest()
    [new] = spare(await ids(engine, instance))
    assert new != old
    await engine.kill(new)
    for _ in range(2):
        await newer.rest()
    [third] = spare(await ids(engine, instance))
    assert third != new
    await process(spare_boxes=0).rest()
    await process(spare_boxes=0, limits=ContainerLimits(idle_s=60, processes=99)).rest()
    assert spare(await ids(engine, instance)) == []


async def test_spare_boxes_are_made_only_in_free_places_and_yield_theirs(
    process: Process, engine: Engine, instance: str
) -> None:
    runtime, first, second = process(spare_boxes=2, max_boxes=2), uuid4(), uuid4()
    for job in (first, second):
        await (await runtime.attach(job, create=True)).save("a", b"1")
    await runtime.stop(second)
    await runtime.rest()
    assert len(spare(await ids(engine, instance))) == 1
    await runtime.rest()
    assert len(spare(await ids(engine, instance))) == 1
    woken = await runtime.attach(second)
    assert (await woken.read("a")).content == b"1"
    assert spare(await ids(engine, instance)) == []
    assert await _states(engine, instance) == ["running", "running"]
    assert {job: (await runtime.status(job)).state for job in (first, second)} == {
        first: "running", second: "running",
    }  # fmt: skip


async def test_workers_that_fill_up_at_once_do_not_make_too_many(
    process: Process, engine: Engine, instance: str
) -> None:
    workers = [process(spare_boxes=2) for _ in range(3)]
    await asyncio.gather(*(worker.rest() for worker in workers))
    assert len(await _states(engine, instance)) <= 2
    await workers[0].rest()
    assert await _states(engine, instance) == ["running"] * 2


async def test_the_end_of_the_service_leaves_no_spare_box(
    process: Process, engine: Engine, instance: str
) -> None:
    runtime = process(spare_boxes=2)
    await runtime.rest()
    assert len(await left(engine, instance)) == 6
    await runtime.stop_all()
    assert await left(engine, instance) == []


async def _states(engine: Engine, instance: str) -> list[str]:
    return [each.state for each in (await engine.containers({INSTANCE: instance})).values()]

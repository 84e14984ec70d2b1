"""The boxes of one job: how they are made, told apart, stopped and removed, in every kind of box."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.domain.ticket import FileCheck
from app.runtime.local.bubblewrap import box_uid
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import FenceLost, NoPlace, RuntimeProblem, WorkspaceBusy, WorkspaceMissing
from app.runtime.worlds import MAX_TRIALS, BoxId, World, labelled
from tests.helpers.boxes import docker_runtime, on_every_kind, unavailable

BENCH, TRIAL = World.BENCH, World.TRIAL
CRAMPED: dict[str, Callable[[Path], Runtime]] = {
    "local": lambda folder: LocalRuntime(folder, idle_s=60, max_boxes=1),
    "docker": lambda folder: docker_runtime(f"test-{uuid4().hex[:12]}", max_boxes=1),
}


def test_a_box_is_known_by_its_label() -> None:
    job = uuid4()
    ids = [BoxId(job), BoxId(job, BENCH), *(BoxId(job, TRIAL, slot) for slot in range(MAX_TRIALS))]
    assert [labelled(job, box_id.label) for box_id in ids] == ids
    assert len({box_id.number for box_id in ids}) == len(ids)
    users = {box_uid(box_id) for box_id in ids}
    assert users == {None} or len(users) == len(ids), "as root each box has a user of its own"
    assert all(0 < (user or 1) < 2**31 for user in users)
    for label in ("lock", f"trial-{MAX_TRIALS}", "trial-", "bench-1", "app"):
        assert labelled(job, label) is None
    for world, slot in ((TRIAL, MAX_TRIALS), (TRIAL, -1), (BENCH, 1), (World.APP, 1)):
        with pytest.raises(ValueError, match="no box"):
            BoxId(job, world, slot)


@on_every_kind
async def test_each_world_has_files_of_its_own(runtime: Runtime, job: UUID) -> None:
    with pytest.raises(WorkspaceMissing):
        await runtime.attach(job, world=BENCH)
    for world, slot in ((BENCH, 0), (World.APP, 0), (TRIAL, 0), (TRIAL, 1)):
        box = await runtime.attach(job, world=world, slot=slot, fence=1, create=True)
        assert (await box.list("/app", 10)).structure == []
        await box.save("who", f"{world}{slot}".encode())
        await box.close()
        assert (await runtime.status(job, world, slot)).state == "running"
    ours = {BoxId(job), BoxId(job, BENCH), BoxId(job, TRIAL), BoxId(job, TRIAL, 1)}
    assert {box_id for box_id in await runtime.worlds() if box_id.job_id == job} == ours
    assert job in await runtime.boxes()

    await runtime.stop(job, BENCH)
    assert (await runtime.status(job, BENCH)).state == "asleep"
    assert (await runtime.status(job)).state == "running"
    await runtime.discard(job, TRIAL, 1)
    await runtime.discard(job, TRIAL, 1)
    assert (await runtime.status(job, TRIAL, 1)).state == "none"
    with pytest.raises(ValueError, match="goes with its job"):
        await runtime.discard(job, World.APP)
    for world, said in ((World.APP, b"app0"), (BENCH, b"bench0"), (TRIAL, b"trial0")):
        box = await runtime.attach(job, world=world)
        assert (await box.read("who")).content == said
        await box.close()

    await runtime.destroy(job)
    for world in World:
        assert (await runtime.status(job, world)).state == "none"
    assert job not in await runtime.boxes()


@on_every_kind
async def test_a_fence_counts_for_all_worlds_of_its_job(runtime: Runtime, job: UUID) -> None:
    await (await runtime.attach(job, world=BENCH, fence=8, create=True)).close()
    assert (await runtime.status(job)).state == "none"
    for world in World:
        with pytest.raises(FenceLost):
            await runtime.attach(job, world=world, fence=7, create=True)
    await (await runtime.attach(job, world=TRIAL, fence=8, create=True)).close()


@on_every_kind
async def test_a_worker_on_the_bench_leaves_the_app_to_the_client(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, world=BENCH, fence=1, create=True)
    client = await runtime.attach(job, create=True)
    await client.save("a", b"1")
    await runtime.stop(job)
    with pytest.raises(WorkspaceBusy):
        await runtime.stop(job, BENCH)
    assert (await worker.list("/app", 10)).structure == []
    for workspace in (worker, client):
        await workspace.close()


@pytest.fixture(params=CRAMPED)
async def cramped(
    request: pytest.FixtureRequest, tmp_path: Path, reasons: dict[str, str]
) -> AsyncIterator[Runtime]:
    """A runtime in which the boxes of one job may be awake. All its boxes are removed afterwards."""
    if reasons[request.param]:
        unavailable(reasons[request.param])
    runtime = CRAMPED[request.param](tmp_path)
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.close()


async def test_the_worlds_of_a_job_take_one_place_together(cramped: Runtime) -> None:
    job, other = uuid4(), uuid4()
    client = await cramped.attach(job, create=True)
    bench = await cramped.attach(job, world=BENCH, fence=1, create=True)
    trial = await cramped.attach(job, world=TRIAL, fence=1, create=True)
    await client.close()
    await trial.close()
    with pytest.raises(NoPlace):  # a worker is on the bench, though the job's app is idle
        await cramped.attach(other, create=True)
    assert (await cramped.status(job)).state == "running"
    assert (await cramped.status(job, BENCH)).state == "running"
    await bench.close()
    await (await cramped.attach(other, world=BENCH, fence=1, create=True)).close()
    assert [(await cramped.status(job, world)).state for world in World] == ["asleep"] * 3
    await (await cramped.attach(job, world=BENCH, fence=2)).close()
    assert (await cramped.status(other, BENCH)).state == "asleep"


@on_every_kind
async def test_commits_come_into_another_world_as_what_their_names_say(runtime: Runtime, job: UUID) -> None:
    bench = await runtime.attach(job, world=BENCH, fence=1, create=True)
    trial = await runtime.attach(job, world=TRIAL, fence=1, create=True)
    have = None
    for number in range(3):
        await bench.save(f"f{number}", b"x" * 300_000 + str(number).encode())
        commit = (await bench.commit(f"step {number}", "Builder")).sha
        await trial.learn(bench.pack(commit, have))
        assert (await trial.check(commit, _holds(f"f{number}", f"x{number}"))).passed
        have = commit
    assert await trial.head() is None, "names are not taken over"
    for workspace in (bench, trial):
        await workspace.close()


@on_every_kind
async def test_a_pack_of_which_something_is_missing_is_refused(runtime: Runtime, job: UUID) -> None:
    bench = await runtime.attach(job, world=BENCH, fence=1, create=True)
    trial = await runtime.attach(job, world=TRIAL, fence=1, create=True)
    await bench.save("a", b"1")
    first = (await bench.commit("first", "Builder")).sha
    await bench.save("b", b"2")
    second = (await bench.commit("second", "Builder")).sha
    with pytest.raises(RuntimeProblem):
        await trial.learn(bench.pack(second, first))
    await trial.learn(bench.pack(second, None))
    assert (await trial.check(second, _holds("b", "2"))).passed
    for workspace in (bench, trial):
        await workspace.close()


def _holds(path: str, text: str) -> FileCheck:
    return FileCheck(id="held", criterion=0, kind="file", path=path, contains=text)

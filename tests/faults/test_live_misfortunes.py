"""What comes between while an app goes live: the client, a lost box, a full disk. The app and its data are
those of before, or those of after."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.actions import jobs, runs
from app.actions.workspaces import files_box, save_file
from app.domain.errors import Conflict
from app.runtime.live_calls import LiveCalls
from app.runtime.local.boxes import LocalBox
from app.runtime.local.runtime import LocalRuntime
from app.runtime.worlds import BoxId, World
from app.store import boxes
from app.store.tables import GoingLive
from tests.helpers.entering import built, company, more
from tests.helpers.entries import app_of, enter, entries
from tests.helpers.house import House
from tests.helpers.processes import processes_of
from tests.helpers.waiting import until
from workers.pipeline.live import bringing, starting

MILK = '"milk";'


class Moment:
    """The moment of going live at which the new version is in place and still held."""

    def __init__(self, meanwhile: Callable[[], Awaitable[object]] | None = None) -> None:
        self.came, self.go, self.meanwhile = asyncio.Event(), asyncio.Event(), meanwhile
        self.answers = starting.answers_twice

    async def __call__(self, *args: Any) -> str:
        self.came.set()
        if self.meanwhile is None:
            await self.go.wait()
        else:
            meanwhile, self.meanwhile = self.meanwhile, _nothing
            await meanwhile()
        return await self.answers(*args)


async def _nothing() -> None:
    return


def box_of(house: House, job_id: UUID, world: World) -> LocalBox:
    runtime = house.resources.runtime
    assert isinstance(runtime, LocalRuntime)
    return LocalBox(runtime._folder, BoxId(job_id, world, 0))


async def contact(house: House, job_id: UUID) -> int:
    async with app_of(house, job_id) as app:
        return (await app.request("GET", "/contact")).status


async def is_settled(house: House, job_id: UUID) -> bool:
    async with house.resources.look() as session:
        return await session.get(GoingLive, job_id) is None


async def is_recorded(house: House, job_id: UUID) -> bool:
    async with house.resources.look() as session:
        row = await session.get(GoingLive, job_id)
        return row is not None and row.recorded_at is not None


async def finished(house: House, job_id: UUID) -> None:
    job = await house.until_finished(job_id, 110)
    assert (job.status, job.verification) == ("build_done", "verified"), job.error_message


@pytest.mark.timeout(240)
async def test_a_run_that_is_cancelled_while_it_goes_live(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await built(house)
    moment = Moment()
    monkeypatch.setattr(bringing, "answers_twice", moment)
    async with house.worker(company()):
        await more(house, job_id)
        await moment.came.wait()
        await runs.cancel_job(house.resources, house.user_id, job_id)
        await until(lambda: is_settled(house, job_id))
        assert await entries(house, job_id) == MILK
        assert await contact(house, job_id) == 404, "the app is the one of before"
        await enter(house, job_id, "bread")
        moment.go.set()
        await runs.retry_job(house.resources, house.user_id, job_id)
        await finished(house, job_id)
        assert await entries(house, job_id) == f'{MILK}"bread";'
        assert await contact(house, job_id) == 200


@pytest.mark.timeout(240)
async def test_a_run_that_ends_by_going_live_and_is_taken_for_lost(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease cannot be renewed any more, so its worker cancels it. No sweep releases the app here."""
    monkeypatch.setattr(boxes, "RELEASE_S", 3600.0)
    job_id = await built(house)
    release = LiveCalls.release
    async with house.worker(company()) as desk:

        async def cancelled(app: LiveCalls) -> None:
            if await is_recorded(house, job_id):
                for _ in range(2):  # each look at the leases cancels it again
                    for held in desk._held.values():
                        held.task.cancel()
                    for _ in range(10):
                        await asyncio.sleep(0)
            await release(app)

        monkeypatch.setattr(LiveCalls, "release", cancelled)
        await more(house, job_id)
        await finished(house, job_id)
        await until(lambda: is_settled(house, job_id), 20)
        assert await contact(house, job_id) == 200


@pytest.mark.timeout(240)
async def test_a_run_that_is_paused_after_its_worker_died(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody goes on with it until the client resumes it. The app is brought back meanwhile."""
    job_id = await built(house)
    moment = Moment()
    monkeypatch.setattr(bringing, "answers_twice", moment)
    async with house.worker(company()):
        await more(house, job_id)
        await moment.came.wait()
    await runs.pause_job(house.resources, house.user_id, job_id)
    moment.go.set()
    async with house.worker(company(), "w2"):
        assert await entries(house, job_id) == MILK
        assert await contact(house, job_id) == 404
        await enter(house, job_id, "bread")
        await runs.resume_job(house.resources, house.user_id, job_id)
        await finished(house, job_id)
        assert await entries(house, job_id) == f'{MILK}"bread";'
        assert await contact(house, job_id) == 200


@pytest.mark.timeout(240)
async def test_a_job_that_is_deleted_while_it_goes_live(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await built(house)
    moment = Moment()
    monkeypatch.setattr(bringing, "answers_twice", moment)
    async with house.worker(company()):
        await more(house, job_id)
        await moment.came.wait()
        await jobs.delete_job(house.resources, house.user_id, job_id)

        async def is_gone() -> bool:
            return not await house.resources.runtime.worlds()

        await until(is_gone)
    assert await is_settled(house, job_id)


@pytest.mark.timeout(240)
async def test_the_box_of_the_app_dies_while_it_is_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await built(house)

    async def die() -> None:
        for pid in processes_of(box_of(house, job_id, World.APP).folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(bringing, "answers_twice", Moment(die))
    async with house.worker(company()):
        await more(house, job_id)
        await finished(house, job_id)
        assert await entries(house, job_id) == MILK
        assert await contact(house, job_id) == 200


@pytest.mark.timeout(240)
@pytest.mark.parametrize("world", [World.APP, World.BENCH])
async def test_a_box_is_lost_while_the_app_goes_live(
    house: House, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    """Without the app's box the data of the copy are put into a new one."""
    job_id = await built(house)
    monkeypatch.setattr(
        bringing,
        "answers_twice",
        Moment(lambda: asyncio.to_thread(box_of(house, job_id, world).remove)),
    )
    async with house.worker(company()):
        await more(house, job_id)
        await finished(house, job_id)
        assert await contact(house, job_id) == 200
        assert await entries(house, job_id) == MILK


@pytest.mark.timeout(240)
@pytest.mark.parametrize("call", ["learn", "set_aside", "switch"])
async def test_a_disk_that_is_full(house: House, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    job_id = await built(house)
    real, bring = getattr(LiveCalls, call), bringing._old
    full: bool | None = None

    async def begins(*args: Any) -> Any:
        nonlocal full
        full = full is None
        return await bring(*args)

    async def refused(*args: Any) -> Any:
        nonlocal full
        if full:
            full = False
            raise Conflict("The workspace is full.", code="workspace_full")
        return await real(*args)

    monkeypatch.setattr(bringing, "_old", begins)
    monkeypatch.setattr(LiveCalls, call, refused)
    async with house.worker(company()):
        await more(house, job_id)
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.failure_code) == ("failed", "checks_failed")
        assert "no room" in job.error_message
        assert "as it was before" in job.error_message
        assert await entries(house, job_id) == MILK
        assert await contact(house, job_id) == 404
        await runs.retry_job(house.resources, house.user_id, job_id)
        await finished(house, job_id)
        assert await entries(house, job_id) == MILK


@pytest.mark.timeout(240)
async def test_no_room_for_a_copy_of_the_data_on_the_bench(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await built(house)

    async def refused(*_: Any) -> Any:
        raise Conflict("The workspace is full.", code="workspace_full")

    monkeypatch.setattr(LiveCalls, "set_aside", refused)
    async with house.worker(company()):
        await more(house, job_id)
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.failure_code) == ("failed", "sandbox_unavailable")
        assert "full" in job.error_message
        assert await entries(house, job_id) == MILK


@pytest.mark.timeout(240)
async def test_a_job_of_an_earlier_release_and_a_file_that_the_client_saved(house: House) -> None:
    """Earlier releases knew neither pointer. What the client saves between two runs is in the next one."""
    job_id = await built(house)
    async with house.resources.unit() as unit:
        await unit.session.execute(
            text("update jobs set live = null, head = null, manifest = null where id = :id"), {"id": job_id}
        )
    assert await entries(house, job_id) == MILK
    await save_file(house.resources, house.user_id, job_id, "/app/notes.md", "By hand.", None)
    async with house.worker(company()):
        await more(house, job_id)
        await finished(house, job_id)
        assert await entries(house, job_id) == MILK
        assert await contact(house, job_id) == 200
        async with files_box(house.resources, house.user_id, job_id) as workspace:
            assert (await workspace.read("/app/notes.md")).content == b"By hand."

"""What `boardroom open` does with an app that is just being changed: it waits."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from app.commands import is_changing
from app.domain.workspace import Manifest
from app.runtime import forward
from app.runtime.forward import AppOfJob
from app.runtime.live_app import AppHeld
from app.runtime.workspace import Stream, Workspace
from app.store.tables import GoingLive
from tests.helpers.company import SERVER
from tests.helpers.house import House
from tests.helpers.waiting import until

MANIFEST = Manifest(start="exec python3 server.py")


@pytest.fixture
async def job(house: House) -> UUID:
    return await house.create()


@pytest.fixture
async def worker(house: House, job: UUID) -> AsyncIterator[Workspace]:
    worker = await house.resources.runtime.attach(job, fence=1, create=True)
    await worker.save("/app/server.py", SERVER.encode())
    await worker.save("/app/boardroom.json", MANIFEST.model_dump_json().encode())
    yield worker
    await worker.close()


async def answer(stream: Stream) -> bytes:
    await stream.write(b"GET / HTTP/1.0\r\n\r\n")
    said = b""
    while piece := await stream.read():
        said += piece
    await stream.close()
    return said


async def test_an_app_that_is_held_is_waited_for(house: House, job: UUID, worker: Workspace) -> None:
    waits = list[int]()
    app = AppOfJob(house.resources.runtime, job, on_wait=lambda: waits.append(1))
    await worker.hold()
    opening = asyncio.create_task(app.wake())
    await until(lambda: waits)
    assert not opening.done()
    await worker.start_app(MANIFEST)
    await worker.release()
    await opening
    assert b"hello" in await answer(await app.dial())

    await worker.hold()
    dialling = asyncio.create_task(app.dial())
    await until(lambda: len(waits) == 2)
    await worker.start_app(MANIFEST)
    await worker.release()
    assert b"hello" in await answer(await dialling)
    await app.close()


async def test_a_change_that_only_the_database_knows_is_waited_for(
    house: House, job: UUID, worker: Workspace, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.resources.unit() as unit:
        unit.session.add(GoingLive(job_id=job, run_id=None, old=None, new="c" * 40, copied=False))
    waits = list[int]()
    changing = partial(is_changing, database_url, job)
    app = AppOfJob(house.resources.runtime, job, changing, lambda: waits.append(1))
    with monkeypatch.context() as impatience:
        impatience.setattr(forward, "HELD_S", 0.0)
        with pytest.raises(AppHeld):
            await app.wake()
    waiting = asyncio.create_task(app.wake())
    await until(lambda: waits)
    async with house.resources.unit() as unit:
        await unit.session.delete(await unit.session.get_one(GoingLive, job))
    await waiting
    assert b"hello" in await answer(await app.dial())
    await app.close()
    assert not await is_changing("postgresql://127.0.0.1:1/x", job), "no database can tell"

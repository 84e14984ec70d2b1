"""Work that is not left half done when its task is cancelled."""

import asyncio

import pytest

from app.runtime.to_its_end import to_its_end


@pytest.mark.parametrize("times", [1, 3])
async def test_it_is_done_however_often_its_task_is_cancelled(times: int) -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.set()

    task = asyncio.ensure_future(to_its_end(work(), 60))
    await begun.wait()
    for _ in range(times):
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_it_is_cancelled_when_its_time_is_over() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.ensure_future(to_its_end(work(), 0.01))
    await begun.wait()
    assert not ended.is_set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_it_raises_is_raised() -> None:
    async def work() -> None:
        raise LookupError("there is none")

    with pytest.raises(LookupError, match="there is none"):
        await to_its_end(work())

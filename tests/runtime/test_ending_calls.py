"""How the guest ends calls that several events end at once, attachments of dead workers, and itself when a
task that enforces its limits fails."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.runtime.guest import main
from app.runtime.guest.link import LinkLost
from app.runtime.guest.main import Attachment, Guest


async def test_a_call_that_is_cancelled_twice_still_ends_its_processes() -> None:
    """A newer fence and the end of its link may both end a call while its processes are still being ended."""
    link: Any = object()
    stream: Any = object()
    attachment = Attachment(link, 1, visits=False)
    gone, begun = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await gone.wait()

    attachment.calls[stream] = task = asyncio.create_task(call())
    await begun.wait()
    ending = []
    for _ in range(2):
        ending.append(asyncio.create_task(attachment.end_calls()))
        for _ in range(10):
            await asyncio.sleep(0)
    assert not any(each.done() for each in (task, *ending))
    gone.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*ending)
    assert task.done()


class GoneBeforeTheGreeting:
    """The link of a worker that was killed right after its greeting."""

    def __init__(self, *_: object) -> None:
        self.closed = False

    async def greeting(self) -> dict[str, int]:
        return {"fence": 1}

    async def greet(self, _: object) -> None:
        raise LinkLost("killed")

    def close(self) -> None:
        self.closed = True


async def test_a_worker_that_dies_before_it_is_greeted_is_not_attached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise it would keep the box awake, and keep clients from changing files, for ever."""
    monkeypatch.setattr(main, "Link", GoneBeforeTheGreeting)
    box, nothing = SimpleNamespace(use=lambda: None, began=""), None
    guest: Any = Guest(box)  # type: ignore[arg-type]
    await guest._on_connection(nothing, nothing)
    assert not guest.attachments
    assert not guest.busy


async def test_a_box_ends_when_a_task_that_enforces_limits_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoFilesLeft(Exception):
        pass

    async def run() -> None:
        raise NoFilesLeft

    async def stop() -> None:
        pass

    box = SimpleNamespace(
        watch=SimpleNamespace(run=run),
        app=SimpleNamespace(stop=stop),
        config=SimpleNamespace(idle_s=60.0, listener=None, relay_uid=0),
    )
    monkeypatch.setattr(main, "RelayServer", lambda *_: SimpleNamespace(close=lambda: None))
    async with asyncio.timeout(10):
        with pytest.raises(NoFilesLeft):
            await Guest(box).serve()  # type: ignore[arg-type]

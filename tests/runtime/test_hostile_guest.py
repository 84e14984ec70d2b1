"""A guest that breaks the protocol: whatever it sends, our process stays responsive and declares the box
dead."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.domain.errors import NotFound
from app.runtime.attachment import Attachment
from app.runtime.channel import Channel, Patience, attach
from app.runtime.guest.frames import (
    BYE,
    CREDIT,
    DATA,
    EOF,
    HEADER,
    HELLO,
    MAX_FRAME,
    OPEN,
    PING,
    PONG,
    RESET,
    RESULT,
)
from app.runtime.guest.link import OVERHEAD, WINDOW
from app.runtime.workspace import BoxDied, FenceLost, RuntimeProblem, WorkspaceBusy
from tests.helpers.waiting import until

HASTE = Patience(greeting_s=0.3, ping_s=0.1, silence_s=0.4, answer_s=1.0)
ABOUT = {"size": 1, "modified": 1.0, "etag": "0" * 32}


def frame(kind: int, ident: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(len(payload), kind, ident) + payload


def as_json(kind: int, ident: int, value: object) -> bytes:
    return frame(kind, ident, json.dumps(value).encode())


@asynccontextmanager
async def greeted(
    answer: Callable[[int], bytes], hello: bytes | None = None
) -> AsyncIterator[tuple[Attachment, list[str]]]:
    """An attachment to a guest that sends its greeting and then the bytes `answer(stream)` for the first
    call; and a list that gets an item when the guest is given up."""
    ours, theirs = socket.socketpair()
    given_up: list[str] = []

    async def play() -> None:
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(as_json(HELLO, 0, {"began": 1.0}) if hello is None else hello)
        try:
            while True:
                length, kind, ident = HEADER.unpack(await reader.readexactly(HEADER.size))
                await reader.readexactly(length)
                if kind == OPEN:
                    writer.write(answer(ident))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    guest = asyncio.create_task(play())
    channel: Channel | None = None
    try:
        reader, writer = await asyncio.open_connection(sock=ours)
        channel = await attach(
            reader, writer, fence=1, patience=HASTE, on_broken=lambda: given_up.append("x")
        )
        yield Attachment(channel, None, lambda _: None), given_up
    finally:
        if channel is not None:
            await channel.close()
        guest.cancel()
        await asyncio.gather(guest, return_exceptions=True)
        ours.close()
        theirs.close()


async def read_from(answer: Callable[[int], bytes]) -> None:
    """Read a file from such a guest, and check that the event loop is not blocked meanwhile."""
    lags = []

    async def measure() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            lags.append(time.monotonic() - before)

    measuring = asyncio.create_task(measure())
    began = time.monotonic()
    try:
        async with greeted(answer) as (workspace, given_up):
            try:
                await workspace.read("a")
            finally:
                assert given_up == ["x"]
                with pytest.raises(BoxDied):
                    await workspace.read("a")
    finally:
        measuring.cancel()
        assert time.monotonic() - began < 5
        assert max(lags, default=0) < 0.25, "the loop was blocked"


DEEP = b'{"a":' * 9000 + b"1" + b"}" * 9000

LIES: dict[str, Callable[[int], bytes]] = {
    "a length over the limit": lambda at: HEADER.pack(MAX_FRAME + 1, DATA, at),
    "the longest length": lambda at: HEADER.pack(2**32 - 1, RESULT, at),
    "an unknown kind": lambda at: frame(99, at),
    "an unknown stream": lambda at: frame(DATA, at + 1, b"x"),
    "the stream of nobody": lambda at: frame(RESULT, 2**32 - 1, b"{}"),
    "a call of its own": lambda at: as_json(OPEN, at + 1, {"call": "read"}),
    "a second greeting": lambda at: as_json(HELLO, 0, {}),
    "a ping": lambda at: frame(PING, 0),
    "an unasked pong": lambda at: frame(PONG, 0) * 3,
    "empty data": lambda at: frame(DATA, at),
    "a flood of single bytes": lambda at: frame(DATA, at, b"x") * 300_000,
    "credit for nothing": lambda at: frame(CREDIT, at, (1).to_bytes(4, "big")),
    "credit without end": lambda at: frame(CREDIT, at, (2**32 - 1).to_bytes(4, "big")),
    "credit of odd size": lambda at: frame(CREDIT, at, b"\0"),
    "two ends": lambda at: frame(EOF, at) * 2,
    "data after the end": lambda at: frame(EOF, at) + frame(DATA, at, b"x"),
    "a second answer": lambda at: as_json(RESULT, at, ABOUT) * 2,
    "data after the answer": lambda at: as_json(RESULT, at, ABOUT) + frame(DATA, at, b"x"),
    "no JSON": lambda at: frame(RESULT, at, b"\xff\xfe"),
    "JSON that is no object": lambda at: frame(RESULT, at, b"[]"),
    "not a number": lambda at: frame(RESULT, at, b'{"size": NaN}'),
    "endless": lambda at: frame(RESULT, at, b'{"size": Infinity}'),
    "a number without end": lambda at: frame(RESULT, at, b'{"size": ' + b"9" * 60_000 + b"}"),
    "too deep": lambda at: frame(RESULT, at, DEEP),
    "an answer without its fields": lambda at: frame(RESULT, at, b"{}"),
    "fields of another type": lambda at: as_json(RESULT, at, {**ABOUT, "size": "1"}),
    "a negative size": lambda at: as_json(RESULT, at, {**ABOUT, "size": -1}),
    "a time beyond calendars": lambda at: as_json(RESULT, at, {**ABOUT, "modified": 1e300}),
    "silence": lambda at: b"",
    "half a frame": lambda at: frame(RESULT, at, b"{}")[:-1],
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_broken_protocol_ends_the_box(lie: str) -> None:
    if lie in {"silence", "half a frame", "a flood of single bytes"}:
        with pytest.raises(BoxDied, match=r"silent|in time"):
            await read_from(LIES[lie])
        return
    if lie not in {"a second answer", "data after the answer"}:
        with pytest.raises(BoxDied, match="protocol"):
            await read_from(LIES[lie])
        return
    async with greeted(LIES[lie]) as (workspace, given_up):
        await workspace.read("a")
        with pytest.raises(BoxDied, match="protocol"):
            await workspace.read("a")
        assert given_up == ["x"]


@pytest.mark.parametrize("size", [1, MAX_FRAME])
async def test_nothing_is_kept_beyond_credit(size: int) -> None:
    """The caller does not read after the first piece, and the guest sends on without credit."""
    flood = frame(DATA, 1, b"x" * size) * (2 * WINDOW // (size + OVERHEAD))
    async with greeted(lambda at: flood) as (workspace, given_up):
        pieces = workspace.download("a")
        assert await anext(pieces)

        async def broken() -> bool:
            return given_up == ["x"]

        await until(broken)
        with pytest.raises(BoxDied, match="without credit"):
            _ = [piece async for piece in pieces]


async def test_more_data_than_asked_for_breaks_the_protocol() -> None:
    with pytest.raises(BoxDied, match="more output"):
        async with greeted(lambda at: frame(DATA, at, b"x" * 2000)) as (workspace, _):
            await workspace.run("x", timeout_s=5, output_limit=1000)


@pytest.mark.parametrize(
    "entries",
    ['[[0,"a",false,1,1.0]]', '[[-1,"a/b",false,1,1.0]]', '[[-1,"a",false,1]]', "{}", "[" * 60_000, ""],
)
async def test_an_invalid_listing_breaks_the_protocol(entries: str) -> None:
    def answer(at: int) -> bytes:
        data = frame(DATA, at, entries.encode()) if entries else b""
        return data + as_json(RESULT, at, {"truncated": False})

    with pytest.raises(BoxDied, match="protocol"):
        async with greeted(answer) as (workspace, _):
            await workspace.list("/app", 10)


@pytest.mark.parametrize(
    ("seconds", "year"), [(-(2**62), 1), (-62_135_596_801, 1), (2**62, 9999), (0.5, 1970)]
)
async def test_a_time_is_cut_to_the_calendar(seconds: float, year: int) -> None:
    about = {**ABOUT, "modified": seconds}
    async with greeted(lambda at: frame(DATA, at, b"x") + as_json(RESULT, at, about)) as (
        workspace,
        given_up,
    ):
        assert (await workspace.read("a")).modified_at.year == year
    assert not given_up


async def test_refusals_are_passed_on_with_limited_text() -> None:
    async with greeted(lambda at: as_json(RESULT, at, {"refused": "missing"})) as (workspace, given_up):
        with pytest.raises(NotFound, match=r"File not found: /app/a\."):
            await workspace.read("a")
        assert not given_up
    odd = {"refused": ["x"], "detail": "\0" + "y" * 50_000}
    async with greeted(lambda at: as_json(RESULT, at, odd)) as (workspace, _):
        with pytest.raises(RuntimeProblem) as caught:
            await workspace.read("a")
    assert len(str(caught.value)) < 1200
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    ("hello", "problem"),
    [
        (as_json(HELLO, 0, {"refused": "fence"}), FenceLost),
        (as_json(HELLO, 0, {"refused": "busy"}), WorkspaceBusy),
        (as_json(HELLO, 0, {"refused": "full"}), BoxDied),
        (as_json(RESULT, 1, {}), BoxDied),
        (HEADER.pack(MAX_FRAME + 1, HELLO, 0), BoxDied),
        (frame(HELLO, 0, b"[]"), BoxDied),
        (b"", BoxDied),
        (b"HTTP/1.1 200 OK\r\n\r\n", BoxDied),
    ],
)
async def test_greetings(hello: bytes, problem: type[RuntimeProblem]) -> None:
    with pytest.raises(problem):
        async with greeted(lambda at: b"", hello):
            pass


async def test_a_goodbye_gives_its_reason() -> None:
    bye = as_json(BYE, 0, {"reason": "fence"}) + as_json(BYE, 0, {"reason": "closed"})
    with pytest.raises(FenceLost):
        async with greeted(lambda at: bye + frame(RESET, at)) as (workspace, _):
            await workspace.read("a")

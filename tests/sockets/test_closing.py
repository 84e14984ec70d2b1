"""How connections end: close frames, close codes and limits."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest

from app import metrics
from app.api.sockets import conversation
from app.api.sockets.codes import Close
from app.api.wire import websocket_protocol
from app.api.wire.websocket_protocol import MAX_FRAME_BYTES, SOCKET_OPTIONS
from tests.helpers.sockets import open_socket, stored, tell
from tests.helpers.waiting import until
from tests.sockets.conftest import OpenWeb, Person, Web

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A


@dataclass
class Raw:
    """A WebSocket client without a library, for the bytes on the connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, opcode: int, body: bytes = b"") -> None:
        mask = os.urandom(4)
        size = len(body)
        if size < 126:
            head = struct.pack("!BB", opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", opcode, 0xFE, size)
        else:
            head = struct.pack("!BBQ", opcode, 0xFF, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))
        self.writer.write(head + mask + masked)

    async def frame(self, within_s: float = 10) -> tuple[int, bytes]:
        async with asyncio.timeout(within_s):
            opcode, size = struct.unpack("!BB", await self.reader.readexactly(2))
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return opcode, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Read up to the close frame and return its code. Fails if the frame has none."""
        while True:
            opcode, body = await self.frame()
            if opcode == CLOSE:
                code: int = struct.unpack("!H", body[:2])[0]
                return code

    async def at_end(self, within_s: float = 5) -> bool:
        async with asyncio.timeout(within_s):
            return await self.reader.read() == b""


@asynccontextmanager
async def open_raw(web: Web, job_id: UUID, access: str) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        (
            f"GET /ws/jobs/{job_id}/ HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Authorization: Bearer {access}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()
    )
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def test_a_close_without_a_code_is_answered_with_1000(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_raw(web, job_id, ada.access) as raw:
        raw.send(CLOSE)
        assert await raw.frame() == (CLOSE, struct.pack("!H", 1000))
        assert await raw.at_end()


@pytest.mark.parametrize("code", [1000, 1001, 4321])
async def test_a_close_with_a_code_is_answered_with_it(
    web: Web, ada: Person, job_id: UUID, code: int
) -> None:
    async with open_raw(web, job_id, ada.access) as raw:
        raw.send(CLOSE, struct.pack("!H", code) + b"bye")
        assert await raw.close_code() == code
        assert await raw.at_end()


async def test_a_close_without_a_code_right_behind_a_message_loses_nothing(
    web: Web, ada: Person, job_id: UUID
) -> None:
    """A message that was sent before the close is stored, although the client does not get its echo."""
    words = [f"my last words {n}" for n in range(5)]
    async with open_raw(web, job_id, ada.access) as raw:
        for word in words:
            raw.send(TEXT, json.dumps({"kind": "chat", "content": word}).encode())
        raw.send(CLOSE)
        assert await raw.close_code() == 1000
    async with asyncio.timeout(10):
        while [event["content"] for event in await stored(web.resources, job_id)][1:] != words:
            pass


async def test_ping_frames_are_answered(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_raw(web, job_id, ada.access) as raw:
        raw.send(PING, b"there?")
        assert await raw.frame() == (PONG, b"there?")


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 8 * 1024 * 1024])
async def test_a_frame_too_long_is_1009_and_the_code_gets_through(
    web: Web, ada: Person, job_id: UUID, size: int
) -> None:
    """A client that is still sending gets the code, too: closing with unread bytes would reset the
    connection."""
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.connection.send("x" * size)
        assert await socket.closed() == 1009


async def test_a_client_that_goes_on_sending_after_1009_is_cut_off(
    web: Web, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket_protocol, "DISCARD_S", 0.2)
    async with open_raw(web, job_id, ada.access) as raw:
        raw.writer.write(struct.pack("!BBQ", TEXT, 0xFF, 2**40))
        assert await raw.close_code() == 1009
        async with asyncio.timeout(5):
            while not raw.writer.transport.is_closing():
                raw.writer.write(b"x" * 1000)
                await asyncio.sleep(0)


async def test_a_message_too_long_in_pieces_is_1009(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.connection.send(["x" * 1000] * 70)
        assert await socket.closed() == 1009


async def test_the_longest_frame_is_read(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.connection.send('{"kind":"ping"}'.ljust(MAX_FRAME_BYTES))
        assert await socket.hear() == {"kind": "pong"}


async def test_too_many_messages_are_an_error_then_4429(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        for _ in range(21):
            await socket.say(kind="ping")
        assert await socket.hear_all(20) == [{"kind": "pong"}] * 20
        error = await socket.hear()
        assert (error["kind"], error["code"]) == ("error", "too_many_messages")
        assert await socket.closed() == Close.TOO_MANY_MESSAGES


async def test_a_slow_reader_is_closed_and_the_others_are_not(
    web: Web, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MAX_QUEUED_CHARS", 500_000)
    word = "a long word " * 10_000
    async with (
        open_socket(web.url(job_id), ada.access, max_queue=1) as slow,
        open_socket(web.url(job_id), ada.access) as quick,
    ):
        heard, too_slow = [], metrics.sockets_closed.labels(code="4408")
        before = too_slow._value.get()
        while too_slow._value.get() == before:  # until all buffers on the way are full
            await tell(web.resources, job_id, word)
            heard.append(await quick.hear())
        await tell(web.resources, job_id, word)
        heard.append(await quick.hear())
        assert heard == (await stored(web.resources, job_id))[1:]
        read = await slow.hear_to_the_end()
        assert slow.connection.close_code == Close.TOO_SLOW
        assert read == heard[: len(read)]
        assert len(read) < len(heard)
        assert await quick.pings() == []
    async with open_socket(web.url(job_id, f"?since={read[-1]['seq']}"), ada.access) as back:
        assert await back.hear_all(len(heard) - len(read)) == heard[len(read) :]


async def test_a_reader_that_never_reads_again_is_let_go(
    start_web: OpenWeb, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MAX_QUEUED_CHARS", 500_000)
    monkeypatch.setattr(websocket_protocol, "CLOSE_S", 0.5)
    async with start_web() as other, open_raw(other, job_id, ada.access) as raw:
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while other.server.server_state.connections:
                await tell(other.resources, job_id, "a long word " * 10_000)


async def test_a_silent_peer_is_dropped(
    start_web: OpenWeb, web: Web, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a ping after one interval and is dropped after another; in production each is 20 s."""
    assert (SOCKET_OPTIONS["ws_ping_interval"], SOCKET_OPTIONS["ws_ping_timeout"]) == (20, 20)
    monkeypatch.setitem(SOCKET_OPTIONS, "ws_ping_interval", 0.2)
    monkeypatch.setitem(SOCKET_OPTIONS, "ws_ping_timeout", 0.2)
    async with (
        start_web() as hasty,
        open_raw(hasty, job_id, ada.access) as silent,
        open_socket(hasty.url(job_id), ada.access) as lively,
    ):
        opcode, _ = await silent.frame()
        assert opcode == PING
        async with asyncio.timeout(5):
            await silent.reader.read()
        assert await lively.pings() == []


async def test_a_silent_peer_is_dropped_with_all_that_it_has_not_read(
    start_web: OpenWeb, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOCKET_OPTIONS, "ws_ping_interval", 1.0)
    monkeypatch.setitem(SOCKET_OPTIONS, "ws_ping_timeout", 1.0)
    async with start_web() as hasty, open_raw(hasty, job_id, ada.access) as silent:
        silent.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (connection,) = hasty.server.server_state.connections
        while not connection.transport.get_write_buffer_size():
            await tell(hasty.resources, job_id, "a long word " * 50_000)
        await until(lambda: connection not in hasty.server.server_state.connections)


async def test_a_restart_is_1012(start_web: OpenWeb, web: Web, ada: Person, job_id: UUID) -> None:
    async with start_web() as other, open_socket(other.url(job_id), ada.access) as socket:
        other.server.should_exit = True
        assert await socket.closed() == 1012


async def test_our_own_mistake_is_1011(
    web: Web, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(conversation, "read_frame", broken)
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.say(kind="ping")
        assert await socket.closed() == Close.OUR_FAULT

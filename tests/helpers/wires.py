"""Servers that speak the wires of vendors other than chat completions, over HTTP on the loopback.

Each turns a request into chat form, so that one script answers in all of them, and writes the answer in its
own form."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from tests.helpers import wire_anthropic, wire_bedrock, wire_google, wire_responses
from tests.helpers.wire_forms import Json
from workers.llm.model import Answer, ToolCall

Says = Callable[[Json], Awaitable[Answer]]
"""Answers a request in chat form: `messages`, `tools` (their names) and `max_tokens`."""


@dataclass
class WireServer:
    """`url` is for the vendor's address; `asked` has each request's path, headers and body. `pages` are what
    it answers to a GET, by path: to others with 404. A stream ends in order before its piece number `cut`."""

    url: str = ""
    pages: dict[str, Json] = field(default_factory=dict)
    cut: int | None = None
    asked: list[tuple[str, dict[str, str], Json]] = field(default_factory=list)


@asynccontextmanager
async def open_wire(wire: str, says: Says) -> AsyncIterator[WireServer]:
    server = WireServer()
    read, write = WIRES[wire]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            if head[0].startswith("GET "):
                page = server.pages.get(head[0].split()[1])
                status = b"200 OK" if page is not None else b"404 Not Found"
                start = (
                    b"HTTP/1.1 " + status + b"\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
                )
                writer.write(start + orjson.dumps(page or {}))
                return
            body = orjson.loads(await reader.readexactly(int(headers["content-length"])))
            path = head[0].split()[1]
            server.asked.append((path, headers, body))
            answer = await says(read(body))
            streamed = bool(body.get("stream")) or "stream" in path.lower()
            kind, said = write(answer, streamed)
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode()
                + b"".join(said[: server.cut] if streamed else said)
            )
            await writer.drain()
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield server


WIRES: Mapping[str, tuple[Callable[[Json], Json], Callable[[Answer, bool], tuple[str, list[bytes]]]]] = {
    "anthropic": (wire_anthropic.read, wire_anthropic.write),
    "google": (wire_google.read, wire_google.write),
    "responses": (wire_responses.read, wire_responses.write),
    "bedrock": (wire_bedrock.read, wire_bedrock.write),
}
CALL = ToolCall("", "look", '{"path":"a"}')

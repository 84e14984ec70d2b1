"""A server on the loopback with OpenAI's chat completions API, which treats each caller as a script says.

Each API key has its own script, so that tests do not disturb each other. A script is a list of moves, one for
each request; the last one is repeated for ever.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from workers.llm.model import Answer, Tokens, ToolCall

USED = Tokens(11, 7)
BOMB = gzip.compress(b'data: {"a": "' + b"0" * 100_000_000)
"""100 KB that unpack to 100 MB."""

CHUNK = 7
"""Characters in each piece of a streamed text."""


@dataclass
class Exchange:
    """One request, and functions to answer it. `left` is true if the caller closed it before the end."""

    key: str
    body: dict[str, Any]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    left: bool = False

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))

    async def head(self, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Because", f"content-type: {kind}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def event(self, value: Mapping[str, Any]) -> None:
        await self.send(b"data: " + orjson.dumps(value) + b"\n\n")

    async def until_left(self) -> None:
        """Do nothing until the caller closes the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(1000):
                pass
        self.left = True

    def reset(self) -> None:
        self.writer.transport.abort()


Move = Callable[[Exchange], Awaitable[None]]


@dataclass
class Server:
    """The server. `asked` has all requests in order; `url` is for OPENAI_BASE_URL. `pages` are what it
    answers on other paths; without one that is a 404."""

    url: str = ""
    pages: dict[str, Any] = field(default_factory=dict)
    scripts: dict[str, Sequence[Move]] = field(default_factory=dict)
    asked: list[Exchange] = field(default_factory=list)

    def of(self, key: str) -> list[Exchange]:
        return [exchange for exchange in self.asked if exchange.key == key]

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
        """The request; None if it was for a page, which is answered."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        named = [line.split("Bearer ")[1] for line in head if line.lower().startswith("authorization")]
        text = await reader.readexactly(int(headers.get("content-length", 0)))
        path = head[0].split()[1]
        if path.endswith("/chat/completions"):
            return Exchange(named[0] if named else "", orjson.loads(text), reader, writer)
        page = Exchange("", {}, reader, writer)
        await page.head(200 if path in self.pages else 404)
        await page.send(orjson.dumps(self.pages.get(path)))
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = None
        try:
            exchange = await self._hear(reader, writer)
            if exchange is None:
                return
            moves = self.scripts[exchange.key]
            place = len(self.of(exchange.key))
            self.asked.append(exchange)
            await moves[min(place, len(moves) - 1)](exchange)
        except (ConnectionError, asyncio.IncompleteReadError):
            if exchange is not None:
                exchange.left = True
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def open_server() -> AsyncIterator[Server]:
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(text: str = "", *calls: ToolCall, tokens: Tokens | None = USED, finish: str = "") -> Move:
    """A good answer, streamed if the request wants that."""
    answer = Answer(text, "", calls, tokens, finish or ("tool_calls" if calls else "stop"))

    async def move(exchange: Exchange) -> None:
        await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)

    return move


async def answer_whole(exchange: Exchange, answer: Answer) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [_call(place, call) for place, call in enumerate(answer.calls)]
    choice = {"index": 0, "finish_reason": answer.finish_reason, "message": message}
    await exchange.head()
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    await exchange.send(orjson.dumps({**body, **_usage(answer.tokens)}))


async def answer_streamed(exchange: Exchange, answer: Answer) -> None:
    await exchange.head(kind="text/event-stream")
    for start in range(0, len(answer.text), max(CHUNK, len(answer.text) // 50)):
        await exchange.event(delta(content=answer.text[start : start + max(CHUNK, len(answer.text) // 50)]))
    for place, call in enumerate(answer.calls):
        await exchange.event(delta(tool_calls=[{"index": place, **_call(place, call)}]))
    await exchange.event(delta(finish=answer.finish_reason))
    if answer.tokens is not None:
        await exchange.event({**_frame([]), **_usage(answer.tokens)})
    await exchange.send(b"data: [DONE]\n\n")


def delta(finish: str | None = None, **content: Any) -> dict[str, Any]:
    return _frame([{"index": 0, "delta": content, "finish_reason": finish}])


def _frame(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


def _call(place: int, call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id or f"id{place}", "type": "function", "function": function}


def _usage(tokens: Tokens | None) -> dict[str, Any]:
    if tokens is None:
        return {}
    return {
        "usage": {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.output,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
        }
    }


def refuses(status: int, message: str = "no", code: str = "", **headers: str) -> Move:
    async def move(exchange: Exchange) -> None:
        await exchange.head(status, **headers)
        await exchange.send(orjson.dumps({"error": {"message": message, "type": "x", "code": code}}))

    return move


def sends(body: bytes, kind: str = "application/json", **headers: str) -> Move:
    """A 200 with this body."""

    async def move(exchange: Exchange) -> None:
        await exchange.head(200, kind, **headers)
        await exchange.send(body)

    return move


async def never_answers(exchange: Exchange) -> None:
    await exchange.until_left()


async def stalls(exchange: Exchange) -> None:
    """Begins an answer and then sends nothing more."""
    await exchange.head(kind="text/event-stream")
    await exchange.event(delta(content='{"reply": "Well'))
    await exchange.until_left()


async def only_heartbeats(exchange: Exchange) -> None:
    """Sends comments, which keep the connection alive, and no answer."""
    await exchange.head(kind="text/event-stream")
    leaving = asyncio.ensure_future(exchange.until_left())
    while not leaving.done():
        await exchange.send(b": still here\n\n")
        await asyncio.wait({leaving}, timeout=0.05)


async def resets_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def resets_mid_stream(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    await exchange.event(delta(content='{"reply": "Well'))
    exchange.reset()


async def ends_without_a_reason(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    await exchange.event(delta(content='{"reply": "Well", "done": false}'))


async def one_line_for_ever(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    await exchange.send(b"data: ")
    while True:
        await exchange.send(b"x" * 65_536)


async def thinks_for_ever(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    while True:
        await exchange.event(delta(reasoning_content="Hm. " * 2000))


async def never_ends(exchange: Exchange) -> None:
    """Sends text without end, beyond `max_tokens`."""
    await exchange.head(kind="text/event-stream")
    while True:
        await exchange.event(delta(content="la " * 2000))

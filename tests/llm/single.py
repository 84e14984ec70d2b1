"""Single requests to a model behind a server that answers in its own way."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.domain.budget import Use
from tests.helpers.model_server import Exchange, Move, Server, delta
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.model import Message, Model, Question, Tokens, ToolSpec
from workers.llm.prices import fixed
from workers.llm.provider import Provider, open_openai

SHORT = TimeLimits(connect_s=1, first_token_s=2, gap_s=2, call_s=4)
KEY = "sk-very-secret-0123456789"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
LOOK = ToolSpec("look", "Look at it.", {"type": "object", "properties": {"path": {"type": "string"}}})
WRITE = ToolSpec("write_file", "Write it.", {"type": "object", "properties": {"path": {"type": "string"}}})


def opened(server: Server, *moves: Move, stream: bool = True, key: str = KEY, **more: Any) -> Provider:
    """A model whose requests are answered with `moves`. A million tokens cost 1 USD (in), 4 USD (out)."""
    server.scripts[key] = moves
    server.asked.clear()
    endpoint = Endpoint(SHORT, stream=stream, **more)
    return open_openai("tiny", base_url=server.url, key=key, endpoint=endpoint, price=fixed(1, 4))


def question(*messages: Message, **more: Any) -> Question:
    told = messages or (Message("user", "Hello"),)
    return Question("CEO", "discussion", "You are the CEO.", told, **more)


def last_body(server: Server) -> dict[str, Any]:
    return server.asked[-1].body


def gives(
    *pieces: Mapping[str, Any],
    finish: str | None = "stop",
    usage: Mapping[str, Any] | None = None,
    **more: Any,
) -> Move:
    """An answer of these pieces of a message: streamed as they are, else put together as one message. `more`
    are further fields of each piece's event or of the whole answer."""

    async def move(exchange: Exchange) -> None:
        if exchange.streamed:
            await exchange.head(kind="text/event-stream")
            for piece in pieces:
                await exchange.event({**delta(**piece), **more})
            await exchange.event({**delta(finish=finish), **more, **({"usage": usage} if usage else {})})
            await exchange.send(b"data: [DONE]\n\n")
        else:
            await exchange.head()
            choice = {"index": 0, "finish_reason": finish, "message": together(pieces)}
            body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            await exchange.send(orjson.dumps({**body, **more, **({"usage": usage} if usage else {})}))

    return move


def together(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The message that the pieces make: texts and lists one after the other."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for piece in pieces:
        for name, value in piece.items():
            before = message.get(name)
            message[name] = before + value if isinstance(before, str | list) else value
    return message


def calls(*made: Mapping[str, Any]) -> dict[str, Any]:
    """A piece with tool calls."""
    return {"tool_calls": [{"type": "function", **call} for call in made]}


def function(name: str | None, arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


class Free:
    """A ledger without limits; `spent` are the failed requests' outcomes and costs."""

    def __init__(self) -> None:
        self.spent: list[tuple[str, Use | None]] = []
        self.reserved: list[Use] = []

    async def reserve(self, model: Model, worst: Use) -> int:
        self.reserved.append(worst)
        return len(self.reserved)

    async def fail(self, attempt: int, outcome: str, used: Use | None, latency_ms: int) -> None:
        self.spent.append((outcome, used))

    async def rest(self, seconds: float) -> None:
        assert seconds < 2, "nothing here is worth a wait"


def error(status: int, body: Any) -> Move:
    async def move(exchange: Exchange) -> None:
        await exchange.head(status)
        await exchange.send(body.encode() if isinstance(body, str) else orjson.dumps(body))

    return move


def openai_error(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Move:
    return error(
        status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    )


def bill(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "completion_tokens_details": {"reasoning_tokens": tokens.output},
    }

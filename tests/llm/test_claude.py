"""Anthropic's API over HTTP: a good answer and an error."""

import asyncio
from typing import Any

import orjson
import pytest

from workers.llm.claude import open_anthropic
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.model import Message, ModelUnavailable, Question, Then, Tokens, ToolSpec

KEY = "sk-ant-secret-0123456789"
SHORT = TimeLimits(connect_s=1, first_token_s=2, gap_s=2, call_s=4)
TOOL = ToolSpec("look", "Look at it.", {"type": "object", "properties": {"path": {"type": "string"}}})
SAID: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 12, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me see."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t1", "name": "look", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"path": "a"}'},
    },
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]
START = {
    "type": "message_start",
    "message": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    },
}
QUESTION = Question("CEO", "discussion", "You are the CEO.", (Message("user", "Hello"),), tools=(TOOL,))


async def ask(status: int, events: list[dict[str, Any]]) -> Any:
    """The answer of a model whose server gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        kind = b"text/event-stream" if status == 200 else b"application/json"
        writer.write(b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-type: %s\r\n\r\n" % (status, kind))
        for event in events:
            writer.write(f"event: {event['type']}\ndata: {orjson.dumps(event).decode()}\n\n".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        model = open_anthropic(
            "claude-opus-5-5",
            base_url=f"http://127.0.0.1:{port}",
            key=KEY,
            endpoint=Endpoint(SHORT),
            price=lambda _: 0.0,
        )
        return await model.ask(QUESTION)


async def test_an_answer_with_a_call() -> None:
    answer = await ask(200, [START, *SAID[1:]])
    assert (answer.text, answer.model) == ("Let me see.", "anthropic:claude-opus-5-5")
    assert [(call.name, call.arguments) for call in answer.calls] == [("look", '{"path": "a"}')]
    assert answer.tokens == Tokens(12, 9)
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("events", range(1, len(SAID)))
async def test_a_stream_that_is_cut_off_in_order_is_no_answer(events: int) -> None:
    """Half a text, or a call with half its arguments, whose connection is closed as after a whole one."""
    told = [event if event["type"] != "message_start" else START for event in SAID[:events]]
    told = [event for event in told if event["type"] != "message_delta"]
    with pytest.raises(ModelUnavailable) as problem:
        await ask(200, told)
    assert (problem.value.then, problem.value.may_cost) == (Then.AGAIN, True)


async def test_a_refused_key() -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await ask(401, [])
    assert problem.value.then is Then.ELSEWHERE
    assert KEY not in str(problem.value)

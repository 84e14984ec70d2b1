"""Single requests to a server with OpenAI's API, which works well or badly."""

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest

from tests.helpers import model_server as wire
from tests.helpers.model_server import BOMB, Exchange, Move, Server, refuses, says, sends
from workers.llm import client
from workers.llm.answers import MAX_CALLS
from workers.llm.endpoint import Endpoint, SchemaMode, TimeLimits
from workers.llm.model import Message, Model, ModelUnavailable, Question, Then, Tokens, ToolCall, ToolSpec
from workers.llm.provider import open_openai

SHORT = TimeLimits(connect_s=1, first_token_s=0.3, gap_s=0.3, call_s=1.5)
KEY = "sk-very-secret-0123456789"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = ToolSpec("look", "Look at it.", {"type": "object", "properties": {"path": {"type": "string"}}})


def opened(server: Server, *moves: Move, mode: SchemaMode = "native", stream: bool = True) -> Model:
    server.scripts[KEY] = moves
    return open_openai(
        "tiny",
        base_url=server.url,
        key=KEY,
        endpoint=Endpoint(SHORT, mode, stream),
        price=lambda tokens: tokens.output * 0.5,
    )


def question(*messages: Message, **more: Any) -> Question:
    told = messages or (Message("user", "Hello"),)
    return Question("CEO", "discussion", "You are the CEO.", told, **more)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_plain_answer(server: Server, stream: bool) -> None:
    model = opened(server, says("Good morning to all of you."), stream=stream)
    heard: list[str] = []
    answer = await model.ask(question(max_tokens=77), heard.append)
    assert (answer.text, answer.finish_reason) == ("Good morning to all of you.", "stop")
    assert answer.tokens == Tokens(11, 7)
    assert answer.model == model.name == "openai:tiny"
    (asked,) = server.asked
    assert asked.body["max_tokens"] == 77
    assert [(m["role"], m["content"]) for m in asked.body["messages"]] == [
        ("system", "You are the CEO."),
        ("user", "Hello"),
    ]
    if stream:
        assert asked.body["stream_options"] == {"include_usage": True}
        assert heard[-1] == answer.text
        assert all(later.startswith(earlier) for earlier, later in pairwise(heard))


@pytest.mark.parametrize("stream", [True, False])
async def test_tool_calls_and_their_results(server: Server, stream: bool) -> None:
    calls = (ToolCall("same", "look", '{"path": "a"}'), ToolCall("same", "look", "{broken"))
    model = opened(server, says("Let me see.", *calls), stream=stream)
    answer = await model.ask(question(tools=(TOOL,)))
    assert [(call.name, call.arguments) for call in answer.calls] == [
        ("look", '{"path": "a"}'),
        ("look", "{broken"),
    ]
    assert answer.finish_reason == "tool_calls"
    turn = Message("assistant", answer.text, answer.calls)
    await model.ask(question(Message("user", "Go"), turn, Message("tool", "A", call_id="same")))
    sent = server.asked[1].body["messages"][2:]
    ids = [call["id"] for call in sent[0]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [(m["tool_call_id"], m["content"]) for m in sent[1:]] == [(ids[0], "A"), (ids[1], "(no result)")]
    for call in sent[0]["tool_calls"]:
        assert isinstance(orjson.loads(call["function"]["arguments"]), dict)


async def test_a_typed_answer_is_asked_for_as_the_endpoint_takes_it(server: Server) -> None:
    answer = await opened(server, says('{"a": 1}')).ask(question(schema=SCHEMA))
    assert answer.text == '{"a": 1}'
    native = server.asked[-1].body["response_format"]
    assert native["json_schema"]["schema"] == SCHEMA
    tool = opened(server, says("", ToolCall("1", "answer", '{"a": 2}')), mode="tool")
    server.asked.clear()
    assert (await tool.ask(question(schema=SCHEMA))).text == '{"a": 2}'
    assert SCHEMA.items() <= server.asked[-1].body["tools"][0]["function"]["parameters"].items()
    assert "response_format" not in server.asked[-1].body
    words = opened(server, says('{"a": 3}'), mode="prompted")
    assert (await words.ask(question(schema=SCHEMA))).text == '{"a": 3}'
    assert '"integer"' in server.asked[-1].body["messages"][0]["content"]


GO_ON = [
    ("answers 500", refuses(500)),
    ("resets at once", wire.resets_at_once),
    ("resets mid-stream", wire.resets_mid_stream),
    ("ends without a reason", wire.ends_without_a_reason),
    ("never answers", wire.never_answers),
    ("stalls", wire.stalls),
    ("only heartbeats", wire.only_heartbeats),
    ("no choices", sends(b'data: {"choices": []}\n\ndata: [DONE]\n\n', "text/event-stream")),
    ("bad events", sends(b"data: {not json\n\n", "text/event-stream")),
    ("an error in the stream", sends(b'data: {"error": {"message": "oh"}}\n\n', "text/event-stream")),
    ("nothing at all", sends(b"", "text/event-stream")),
    ("a web page", sends(b"<html>Welcome</html>", "text/html")),
    ("an empty object", sends(b"{}")),
]


@pytest.mark.parametrize("move", [move for _, move in GO_ON], ids=[name for name, _ in GO_ON])
async def test_misfortunes_worth_another_try(server: Server, move: Move) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, move).ask(question())
    assert problem.value.then is Then.AGAIN
    assert str(problem.value).startswith("openai:tiny ")


@pytest.mark.parametrize(
    "move",
    [sends(b'{"choices": []}'), sends(b"{}"), sends(b"<html>"), sends(b'{"error": "x"}'), sends(b"null")],
)
async def test_invalid_whole_answers(server: Server, move: Move) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, move, stream=False).ask(question())
    assert problem.value.then is Then.AGAIN
    assert problem.value.may_cost


@pytest.mark.parametrize(
    ("move", "then"),
    [
        (refuses(400, "too long"), Then.NOTHING),
        (refuses(422), Then.NOTHING),
        (refuses(401, f"Incorrect API key provided: {KEY}"), Then.ELSEWHERE),
        (refuses(403), Then.ELSEWHERE),
        (refuses(404, "no such model"), Then.ELSEWHERE),
        (refuses(402), Then.ELSEWHERE),
        (refuses(429, "You exceeded your quota", "insufficient_quota"), Then.ELSEWHERE),
    ],
)
async def test_refusals_that_stay(server: Server, move: Move, then: Then) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, move).ask(question())
    assert problem.value.then is then
    assert not problem.value.may_cost
    assert KEY not in str(problem.value)
    assert len(server.asked) == 1, "the client library tries nothing again by itself"


async def test_the_servers_retry_after_is_passed_on(server: Server) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, refuses(429, retry_after="7")).ask(question())
    assert (problem.value.then, problem.value.retry_after) == (Then.LATER, 7)


async def test_a_server_that_cannot_be_reached() -> None:
    model = open_openai(
        "tiny", base_url="http://127.0.0.1:9/v1", key="", endpoint=Endpoint(SHORT), price=lambda _: 0
    )
    with pytest.raises(ModelUnavailable) as problem:
        await model.ask(question())
    assert (problem.value.then, problem.value.may_cost) == (Then.LATER, False)


@pytest.mark.parametrize("move", [wire.never_answers, wire.stalls])
async def test_cancelling_closes_the_request(server: Server, move: Move) -> None:
    model = opened(server, move)
    task = asyncio.ensure_future(model.ask(question()))
    async with asyncio.timeout(30):  # only against a hang: on a busy machine the first request takes seconds
        while not server.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while not server.asked[0].left:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert task.cancelled()


@pytest.mark.parametrize("move", [wire.never_ends, wire.thinks_for_ever])
async def test_a_flood_is_cut_off(server: Server, move: Move) -> None:
    answer = await opened(server, move).ask(question())
    assert answer.finish_reason == "length"
    assert len(answer.text) <= 400_000
    assert answer.tokens is None


DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("move", "stream"),
    [
        (sends(DEEP), False),
        (sends(b"data: " + DEEP + b"\n\n", "text/event-stream"), True),
    ],
    ids=["whole", "streamed"],
)
async def test_an_answer_too_deep_to_be_read(server: Server, move: Move, stream: bool) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, move, stream=stream).ask(question())
    assert (problem.value.then, problem.value.may_cost) == (Then.AGAIN, True)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_bomb_is_not_unpacked(server: Server, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    with pytest.raises(ModelUnavailable, match="a packed answer") as problem:
        await opened(server, sends(BOMB, kind, content_encoding="gzip"), stream=stream).ask(question())
    assert (problem.value.then, problem.value.may_cost) == (Then.AGAIN, True)


async def test_an_answer_without_end_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 100_000)
    with pytest.raises(ModelUnavailable, match="more than 100000 bytes"):
        await opened(server, wire.one_line_for_ever).ask(question())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    """Neither the key nor the client's words may go to another host."""
    async with wire.open_server() as other:
        other.scripts[KEY] = other.scripts[""] = [says("Stolen.")]
        with pytest.raises(ModelUnavailable, match="answers with a redirect") as problem:
            await opened(server, refuses(status, location=f"{other.url}/chat/completions")).ask(question())
        assert (problem.value.then, other.asked) == (Then.ELSEWHERE, [])


async def test_a_flood_of_calls_is_cut_off(server: Server) -> None:
    calls = [ToolCall(str(place), "look", "{}") for place in range(5000)]
    answer = await opened(server, says("", *calls)).ask(question(tools=(TOOL,)))
    assert (answer.finish_reason, len(answer.calls), answer.tokens) == ("length", MAX_CALLS + 1, None)


async def test_characters_that_cannot_be_stored_do_not_lose_an_answer(server: Server) -> None:
    odd = (
        rb'{"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,'
        rb' "finish_reason": "stop", "message": {"role": "assistant", "content": "a\ud800b\u0000c"}}]}'
    )
    answer = await opened(server, sends(odd), stream=False).ask(question())
    assert answer.text == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


async def thinks_aloud(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    await exchange.event(wire.delta(reasoning_content="First I look around."))
    await exchange.event(wire.delta(content="Hello."))
    await exchange.event(wire.delta(finish="stop"))
    await exchange.send(b"data: [DONE]\n\n")


async def test_reasoning_is_sent_back_only_to_its_own_model(server: Server) -> None:
    model = opened(server, thinks_aloud)
    answer = await model.ask(question())
    assert answer.text == "Hello."
    turns = (Message("user", "Hi"), Message("assistant", answer.text, thoughts=answer.thoughts))
    await model.ask(question(*turns, Message("user", "And?")))
    assert "First I look around." in str(server.asked[-1].body)
    server.scripts["other"] = [says("Hm.")]
    other = open_openai(
        "other", base_url=server.url, key="other", endpoint=Endpoint(SHORT), price=lambda _: None
    )
    await other.ask(question(*turns, Message("user", "And?")))
    assert "First I look around." not in str(server.asked[-1].body)

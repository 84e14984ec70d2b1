"""Answers as real servers give them, streamed and whole: each ends as the answer that was meant."""

from typing import Any

import orjson
import pytest

from tests.helpers.model_server import Exchange, Move, Server, delta, says, sends
from tests.llm.single import (
    LOOK,
    SCHEMA,
    WRITE,
    calls,
    function,
    gives,
    last_body,
    opened,
    question,
)
from workers.llm.model import Message, ModelUnavailable, Then, Tokens

ways = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
ARGUMENTS = '{"path": "a"}'
GLUED: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "each whole, all at index 0": (
        [
            calls({"index": 0, "id": "a", **function("write_file", ARGUMENTS)}),
            calls({"index": 0, "id": "b", **function("look", '{"path": "b"}')}),
            calls({"index": 0, "id": "c", **function("write_file", '{"path": "c"}')}),
        ],
        [("write_file", ARGUMENTS), ("look", '{"path": "b"}'), ("write_file", '{"path": "c"}')],
    ),
    "each whole, without ids": (
        [calls({"index": 0, **function("look", ARGUMENTS)})] * 2,
        [("look", ARGUMENTS), ("look", ARGUMENTS)],
    ),
    "without index": (
        [
            calls({"id": "a", **function("look", "")}),
            calls({**function(None, '{"path":')}),
            calls({**function(None, ' "a"}')}),
            calls({"id": "b", **function("look", "")}),
        ],
        [("look", ARGUMENTS), ("look", "{}")],
    ),
    "a name that comes again": (
        [
            calls({"index": 0, "id": "a", **function("write_file", "")}),
            calls({"index": 0, "id": "a", **function("write_file", '{"path":')}),
            calls({"index": 0, "id": "a", **function("write_file", ' "a"}')}),
        ],
        [("write_file", ARGUMENTS)],
    ),
    "a new id with each piece": (
        [
            calls({"index": 0, "id": "a", **function("write_file", '{"path":')}),
            calls({"index": 0, "id": "b", **function("write_file", ' "a"}')}),
            calls({"index": 0, "id": "c", **function(None, "")}),
        ],
        [("write_file", ARGUMENTS)],
    ),
    "without arguments, in a row": (
        [
            calls({"index": 0, "id": "a", **function("look", "")}),
            calls({"index": 0, "id": "b", **function("look", "")}),
        ],
        [("look", "{}"), ("look", "{}")],
    ),
    "arguments as objects, at one index": (
        [
            calls({"index": 0, "id": "a", **function("look", {"path": "a"})}),
            calls({"index": 0, "id": "b", **function("look", {"path": "a"})}),
        ],
        [("look", '{"path":"a"}'), ("look", '{"path":"a"}')],
    ),
    "as they should be": (
        [
            calls({"index": 0, "id": "a", **function("look", "")}),
            calls({"index": 1, "id": "b", **function("look", "")}),
            calls({"index": 1, **function(None, ARGUMENTS)}),
            calls({"index": 0, **function(None, ARGUMENTS)}),
        ],
        [("look", ARGUMENTS), ("look", ARGUMENTS)],
    ),
}


@pytest.mark.parametrize(("pieces", "meant"), GLUED.values(), ids=GLUED)
async def test_pieces_of_calls_belong_together(
    server: Server, pieces: list[dict[str, Any]], meant: list[tuple[str, str]]
) -> None:
    model = opened(server, gives(*pieces, finish="tool_calls"))
    answer = await model.ask(question(tools=(LOOK, WRITE)))
    assert [(call.name, call.arguments) for call in answer.calls] == meant
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("without", ["id", "type", "index"])
async def test_calls_of_a_whole_answer(server: Server, without: str) -> None:
    piece = calls(
        {"index": 0, "id": "a", **function("look", "")},
        {"index": 0, "id": "b", **function("look", {"path": 1})},
    )
    for one in piece["tool_calls"]:
        one.pop(without)
    model = opened(server, gives(piece, finish="tool_calls"), stream=False)
    answer = await model.ask(question(tools=(LOOK,)))
    assert [(call.name, call.arguments) for call in answer.calls] == [("look", "{}"), ("look", '{"path":1}')]


NAMES = [
    "functions.look",
    "look<|channel|>commentary",
    "default_api:look",
    "functions.look:0",
    "to=look ",
    "look",
]


@ways
@pytest.mark.parametrize("name", NAMES)
async def test_marks_around_a_tools_name(server: Server, stream: bool, name: str) -> None:
    made = calls({"index": 0, "id": "a", **function(name, "{}")})
    model = opened(server, gives(made, finish="tool_calls"), stream=stream)
    answer = await model.ask(question(tools=(LOOK, WRITE)))
    assert [call.name for call in answer.calls] == ["look"]


async def test_a_name_that_may_mean_two_tools_stays(server: Server) -> None:
    model = opened(server, gives(calls({"index": 0, "id": "a", **function("look/write_file", "{}")})))
    answer = await model.ask(question(tools=(LOOK, WRITE)))
    assert [call.name for call in answer.calls] == ["look/write_file"]


def pieces_of(text: str, size: int = 60) -> list[dict[str, Any]]:
    return [{"content": text[start : start + size]} for start in range(0, len(text), size)]


JSON = '{"a": 7}'
HM = "<think>\nFirst I look at {the} idea, then I answer. " + JSON + "? No.\n</think>\n\n"
GPT_OSS = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
THOUGHTS: dict[str, list[dict[str, Any]]] = {
    "in pieces of 60": pieces_of(HM + JSON),
    "the first mark apart": [
        {"content": "<think>"},
        {"content": "Hm, {}."},
        {"content": f"</think>\n{JSON}"},
    ],
    "both marks apart": [{"content": text} for text in ("<think>", "Hm.", "</think>", JSON)],
    "the first mark in the template": pieces_of(f"Let me see. {{}}\n</think>\n\n{JSON}"),
    "Mistral": pieces_of(f"[THINK]Let me see.[/THINK]{JSON}"),
    "gpt-oss": pieces_of(GPT_OSS + JSON),
    "the answer taken for a thought": [{"reasoning_content": JSON}],
    "the same, in another field": [{"reasoning": JSON}],
}


@ways
@pytest.mark.parametrize("pieces", THOUGHTS.values(), ids=THOUGHTS)
async def test_thoughts_in_a_typed_answer(server: Server, stream: bool, pieces: list[dict[str, Any]]) -> None:
    heard: list[str] = []
    answer = await opened(server, gives(*pieces), stream=stream).ask(question(schema=SCHEMA), heard.append)
    assert answer.text.strip() == JSON
    assert all(JSON.startswith(text.strip()) for text in heard), "thoughts are not told"


@ways
async def test_a_mark_in_the_answer_itself_stays(server: Server, stream: bool) -> None:
    text = '{"a": "a page about <think> and </think>"}'
    answer = await opened(server, gives(*pieces_of(text, 9)), stream=stream).ask(question(schema=SCHEMA))
    assert answer.text == text


@ways
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_fields_of_vendors_come_back(server: Server, stream: bool, field: str) -> None:
    """Gemini signs its calls, OpenRouter its reasoning, LiteLLM both, and each wants all of it again."""
    signed = {"google": {"thought_signature": "c2lnbmVk"}}
    made = [
        {"index": 0, "id": "a", **function("look", "{}"), "extra_content": signed},
        {"index": 1, "id": "b", **function("look", "{}"), "provider_specific_fields": {"signature": "x"}},
    ]
    details = [{"type": "reasoning.encrypted", "data": "abc"}, {"type": "reasoning.text", "text": "Hm."}]
    model = opened(
        server,
        gives({field: "Hm."}, *({"reasoning_details": [one]} for one in details), calls(*made)),
        says("Well."),
        stream=stream,
    )
    answer = await model.ask(question(tools=(LOOK,)))
    turn = (
        Message("user", "Hello"),
        Message("assistant", answer.text, answer.calls, thoughts=answer.thoughts),
        *(Message("tool", "seen", call_id=call.id) for call in answer.calls),
    )
    await model.ask(question(*turn, tools=(LOOK,)))
    sent = last_body(server)["messages"][2]
    assert sent["reasoning_details"] == details
    assert sent[field] == "Hm."
    first, second = sent["tool_calls"]
    assert first["extra_content"] == signed
    assert second["provider_specific_fields"] == {"signature": "x"}
    other = opened(server, says("Well."), stream=stream)
    other.name = "openai:other"
    await other.ask(question(*turn, tools=(LOOK,)))
    assert "reasoning_details" not in last_body(server)["messages"][2], "to its own model only"


def used(prompt: Any, completion: Any) -> dict[str, Any]:
    details = {"prompt_tokens_details": {"cached_tokens": prompt}}
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0, **details}


async def bills_all_along(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    for place in range(50):
        await exchange.event({**delta(content="la "), "usage": used(100, place)})
    await exchange.event({**delta(finish="stop"), "usage": used(100, 50)})
    await exchange.event({"id": "x", "choices": [], "usage": used(100, 50)})
    await exchange.send(b"data: [DONE]\n\n")


async def bills_in_the_choice(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    last = delta(finish="stop", content="la")
    last["choices"][0]["usage"] = used(100, 50)
    await exchange.event(last)
    await exchange.send(b"data: [DONE]\n\n")


BILLS = {
    "on every piece, and alone": bills_all_along,
    "in the choice (Kimi)": bills_in_the_choice,
    "as texts": gives({"content": "la"}, usage=used("100", "50")),
}


@pytest.mark.parametrize("move", BILLS.values(), ids=BILLS)
async def test_the_bill_of_a_stream_is_its_greatest(server: Server, move: Move) -> None:
    answer = await opened(server, move).ask(question())
    assert answer.tokens == Tokens(100, 50, 100)


async def test_an_answer_that_breaks_off_costs_what_was_said(server: Server) -> None:
    async def breaks_off(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        await exchange.event({**delta(content="x" * 100), "usage": used(40, 3)})
        await exchange.event(delta(content="x" * 100))
        exchange.reset()

    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, breaks_off).ask(question(max_tokens=1000))
    assert problem.value.spent == Tokens(40, 101, 40)
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, breaks_off).ask(question(max_tokens=70))
    assert problem.value.spent == Tokens(40, 70, 40), "no more than was allowed"


async def ends_with_done_only(exchange: Exchange) -> None:
    await exchange.head(kind="text/event-stream")
    await exchange.event(delta(content="Hello "))
    await exchange.event(delta(content="there."))
    await exchange.event({"id": "x", "choices": [], "usage": used(100, 50)})
    await exchange.send(b"data: [DONE]\n\n")


async def test_a_stream_that_says_done_but_not_why(server: Server) -> None:
    answer = await opened(server, ends_with_done_only).ask(question())
    assert (answer.text, answer.finish_reason, answer.tokens) == (
        "Hello there.",
        "stop",
        Tokens(100, 50, 100),
    )


async def test_a_stream_that_says_nothing_but_done(server: Server) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, sends(b"data: [DONE]\n\n", "text/event-stream")).ask(question())
    assert problem.value.then is Then.AGAIN


REASONS = [("eos", "stop"), ("max_tokens", "length"), ("guard", "other"), ("STOP", "stop"), (None, "stop")]


@ways
@pytest.mark.parametrize(("reason", "told"), REASONS)
async def test_why_an_answer_ended(server: Server, stream: bool, reason: str | None, told: str) -> None:
    answer = await opened(server, gives({"content": "Well."}, finish=reason), stream=stream).ask(question())
    assert (answer.text, answer.finish_reason) == ("Well.", told)


@ways
async def test_an_answer_that_went_wrong_is_asked_for_again(server: Server, stream: bool) -> None:
    with pytest.raises(ModelUnavailable, match="went wrong") as problem:
        await opened(server, gives({"content": "Wel"}, finish="error"), stream=stream).ask(question())
    assert problem.value.then is Then.AGAIN


@pytest.mark.parametrize("kept", [{}, {"id": None, "object": None, "created": None, "model": None}])
async def test_a_whole_answer_without_what_nobody_needs(server: Server, kept: dict[str, None]) -> None:
    body = {**kept, "choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
    assert (await opened(server, sends(orjson.dumps(body)), stream=False).ask(question())).text == "Hello."


async def test_a_whole_answer_to_a_request_for_a_stream(server: Server) -> None:
    call = {"id": "a", **function("look", {"path": "a"})}
    message = {"content": "Hello.", "tool_calls": [call, call]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": used(100, 50)}
    answer = await opened(server, sends(orjson.dumps(body))).ask(question(tools=(LOOK,)))
    assert (answer.text, len(answer.calls), answer.tokens) == ("Hello.", 2, Tokens(100, 50, 100))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_ends_of_lines_and_pieces_of_any_size(server: Server, end: bytes, size: int) -> None:
    events = [delta(content="Hello "), delta(content="there."), delta(finish="stop")]
    told = [b"data:" + orjson.dumps(event) + end for event in events]
    body = end.join([b"\xef\xbb\xbf: hello", *told, b"data: [DONE]" + end]) + end

    async def move(exchange: Exchange) -> None:
        await exchange.head(kind="text/event-stream")
        for start in range(0, len(body), size):
            await exchange.send(body[start : start + size])

    assert (await opened(server, move).ask(question())).text == "Hello there."


@ways
async def test_messages_of_one_sender_in_a_row_are_joined(server: Server, stream: bool) -> None:
    model = opened(server, says("Well."), stream=stream)
    said = (
        Message("user", "A page."),
        Message("user", "Sum up."),
        Message("assistant", "Yes."),
        Message("user", "Go."),
    )
    await model.ask(question(*said))
    sent = [(message["role"], message["content"]) for message in last_body(server)["messages"][1:]]
    assert sent == [("user", "A page.\n\nSum up."), ("assistant", "Yes."), ("user", "Go.")]

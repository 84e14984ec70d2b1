"""What refusals of real servers teach: each ends as an answer, is learned once, and holds for the next
request."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.budget import Use
from tests.helpers.lineup import HASTE
from tests.helpers.model_server import Exchange, Move, Server, says
from tests.llm.single import (
    LOOK,
    SCHEMA,
    Free,
    error,
    gives,
    last_body,
    openai_error,
    opened,
    question,
)
from workers.llm.calling import call
from workers.llm.model import Message, ModelUnavailable, Then

Body = dict[str, Any]


def strict(holds: Callable[[Body], bool], refusal: Move) -> Move:
    """A server that refuses every request for which `holds` is false."""

    async def move(exchange: Exchange) -> None:
        await (says("Well.") if holds(exchange.body) else refusal)(exchange)

    return move


def without(field: str) -> Callable[[Body], bool]:
    return lambda body: field not in body


def said_back(body: Body) -> set[str]:
    return {name for message in body["messages"] if message["role"] == "assistant" for name in message}


USE_OTHER = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead."
)

FIELDS = {
    "OpenAI: another name of the limit": strict(
        without("max_tokens"), openai_error(USE_OTHER, "max_tokens", "unsupported_parameter")
    ),
    "a gateway: another name, in words only": strict(
        without("max_tokens"), error(400, {"message": USE_OTHER})
    ),
    "the limit is called max_tokens": strict(
        without("max_completion_tokens"),
        openai_error("Unrecognized request argument supplied: max_completion_tokens"),
    ),
    "a validator: stream_options": strict(
        without("stream_options"),
        error(
            422,
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options"],
                        "msg": "Extra inputs are not permitted",
                        "input": {"include_usage": True},
                    }
                ]
            },
        ),
    ),
    "Go: stream_options": strict(
        without("stream_options"), error(400, 'json: unknown field "stream_options"')
    ),
    "serde: stream_options": strict(
        without("stream_options"),
        error(
            422, "unknown field `stream_options`, expected one of `model`, `messages`, `max_tokens`, `stream`"
        ),
    ),
    "Gemini: stream_options": strict(
        without("stream_options"),
        error(
            400,
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Invalid JSON payload received. Unknown name "stream_options": Cannot '
                        "find field.",
                    }
                }
            ],
        ),
    ),
    "LiteLLM: two fields": strict(
        lambda body: not {"tool_choice", "stream_options"} & body.keys(),
        error(
            400,
            {
                "error": {
                    "message": "litellm.UnsupportedParamsError: it does not support parameters: "
                    "['tool_choice', "
                    "'stream_options'], for model=x"
                }
            },
        ),
    ),
    "no streams": strict(
        lambda body: not body.get("stream"), openai_error("Streaming is not supported: 'stream'", "stream")
    ),
    "no tool_choice while thinking": strict(
        without("tool_choice"),
        openai_error("The tool_choice parameter does not support being set to auto in thinking mode"),
    ),
    "an effort": strict(without("reasoning_effort"), openai_error("Unknown parameter: 'reasoning_effort'.")),
    "an effort's value": strict(
        lambda body: body.get("reasoning_effort") in ("minimal", "low"),
        openai_error(
            "Unsupported value: 'reasoning_effort' does not support 'high' with this model. Supported values "
            "are: 'minimal' and 'low'.",
            "reasoning_effort",
            "unsupported_value",
        ),
    ),
    "no system messages": strict(
        lambda body: body["messages"][0]["role"] == "user",
        openai_error("System role not supported", status=500),
    ),
    "OpenAI: a lower limit": strict(
        lambda body: body["max_tokens"] <= 4096,
        openai_error(
            "max_tokens is too large: 9000. This model supports at most 4096 completion tokens, whereas you "
            "provided 9000.",
            "max_tokens",
            "invalid_value",
        ),
    ),
    "DeepSeek: a lower limit": strict(
        lambda body: body["max_tokens"] <= 8192,
        openai_error("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
    ),
    "Groq: a lower limit": strict(
        lambda body: body["max_tokens"] <= 8192,
        openai_error(
            "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less "
            "than the `context_window` for this model"
        ),
    ),
    "Gemini: a lower limit": strict(
        lambda body: body["max_tokens"] < 8193,
        openai_error(
            "Unable to submit request because it has a maxOutputTokens value of 9000 but the "
            "supported range is from 1 (inclusive) to 8193 (exclusive). Update the max_tokens"
        ),
    ),
    "vLLM: a small context": strict(
        lambda body: body["max_tokens"] <= 7000,
        openai_error(
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context "
            "length is "
            "8192 tokens and your request has 1000 input tokens (9000 > 8192 - 1000)."
        ),
    ),
    "vLLM: a small context, counted loosely": strict(
        lambda body: body["max_tokens"] <= 7000,
        openai_error(
            "This model's maximum context length is 8192 tokens. However, you requested 9000 output tokens "
            "and "
            "your prompt contains at least 1 input tokens, for a total of at least 8193 tokens."
        ),
    ),
    "SGLang: a small context": strict(
        lambda body: body["max_tokens"] <= 7000,
        openai_error(
            "Requested token count exceeds the model's maximum context length of 8192 tokens. You "
            "requested a "
            "total of 10000 tokens: 1000 tokens from the input messages and 9000 tokens for the completion."
        ),
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", FIELDS)
async def test_a_refusal_that_names_its_cure_is_learned(server: Server, name: str, stream: bool) -> None:
    model = opened(server, FIELDS[name], stream=stream, reasoning="high" if "effort" in name else None)
    if "is called max_tokens" in name:
        model.learned.renamed = {"max_tokens": "max_completion_tokens"}
    ledger = Free()
    asked = question(max_tokens=9000, tools=(LOOK,))
    assert (await call([model], asked, ledger, HASTE)).answer.text == "Well."
    assert all(used == Use(0, 0) for _, used in ledger.spent), "refusals cost nothing"
    before = len(server.asked)
    assert (await call([model], asked, ledger, HASTE)).answer.text == "Well."
    assert len(server.asked) == before + 1, "it is remembered"


async def test_a_schema_that_is_refused_is_asked_for_otherwise(server: Server) -> None:
    """First as a tool, then in words."""
    refusal = openai_error("Failed to initialize samplers: failed to parse grammar", status=400)

    async def move(exchange: Exchange) -> None:
        if "response_format" in exchange.body or "tools" in exchange.body:
            await refusal(exchange)
        else:
            await says('{"a": 3}')(exchange)

    model = opened(server, move)
    assert (await call([model], question(schema=SCHEMA), Free(), HASTE)).answer.text == '{"a": 3}'
    assert (len(server.asked), model.learned.mode) == (3, "prompted")


BACK = {
    "Groq": "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property "
    "'reasoning_content' is unsupported, did you mean 'reasoning'?)]",
    "Mistral": '{"detail":[{"type":"extra_forbidden","loc":["body","messages",2,"assistant",'
    '"reasoning_content"],"msg":"Extra inputs are not permitted"}]}',
    "Cerebras": "messages.2.assistant.reasoning_content: property 'messages.2.assistant.reasoning_content' "
    "is unsupported",
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("words", BACK.values(), ids=BACK)
async def test_thoughts_that_must_not_come_back(server: Server, stream: bool, words: str) -> None:
    thinks = gives({"reasoning_content": "Let me see."}, {"content": "Hello."})

    async def move(exchange: Exchange) -> None:
        if "reasoning_content" in said_back(exchange.body):
            await error(400, {"error": {"message": words}})(exchange)
        else:
            await thinks(exchange)

    model = opened(server, move, stream=stream)
    first = await model.ask(question())
    turns = question(
        Message("user", "Hi"), Message("assistant", "Hello.", thoughts=first.thoughts), Message("user", "?")
    )
    for requests in (3, 4):
        assert (await call([model], turns, Free(), HASTE)).answer.text == "Hello."
        assert len(server.asked) == requests
    assert said_back(last_body(server)) == {"role", "content"}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_what_cannot_be_learned_stays_a_refusal(server: Server, stream: bool) -> None:
    refusal = openai_error(USE_OTHER, "max_tokens", "unsupported_parameter")
    with pytest.raises(ModelUnavailable, match="answered 400") as problem:
        await call([opened(server, refusal, stream=stream)], question(), Free(), HASTE)
    assert problem.value.then is Then.NOTHING
    assert len(server.asked) <= 4


async def test_two_requests_that_learn_the_same(server: Server) -> None:
    """The second was sent before the first had learned it."""
    both = asyncio.Event()

    async def move(exchange: Exchange) -> None:
        if "max_tokens" in exchange.body:
            if len(server.asked) == 2:
                both.set()
            await both.wait()
            await openai_error(USE_OTHER, "max_tokens")(exchange)
        else:
            await says("Well.")(exchange)

    model = opened(server, move)
    answers = await asyncio.gather(*(call([model], question(), Free(), HASTE) for _ in range(2)))
    assert [called.answer.text for called in answers] == ["Well.", "Well."]
    assert model.learned.times == 1

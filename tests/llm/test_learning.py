"""What refusals of real servers teach: each ends as an answer, is learned once, and holds for the next
request."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import structlog

from app.domain.budget import Use
from tests.helpers.lineup import HASTE
from tests.helpers.model_server import Exchange, Move, Server, refuses, says
from tests.llm.single import KEY, LOOK, SCHEMA, gives, last_body, opened, question
from workers.llm.calling import call
from workers.llm.model import Message, Model, ModelUnavailable, Then, Tokens

Body = dict[str, Any]


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


def strict(holds: Callable[[Body], bool], refusal: Move) -> Move:
    """A server that refuses every request for which `holds` is false."""

    async def move(exchange: Exchange) -> None:
        await (says("Well.") if holds(exchange.body) else refusal)(exchange)

    return move


def error(status: int, body: Any) -> Move:
    async def move(exchange: Exchange) -> None:
        await exchange.head(status)
        await exchange.send(body.encode() if isinstance(body, str) else orjson.dumps(body))

    return move


def openai_error(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Move:
    return error(
        status, {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    )


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


def thinker(needs: int) -> Move:
    """Thinks for `needs` tokens, hidden or aloud, then answers. Its limit counts both."""

    async def move(exchange: Exchange) -> None:
        limit = exchange.body["max_tokens"]
        thoughts = {"reasoning_content": "Hm. " * min(needs, limit)}
        if limit <= needs:
            used = Tokens(20, limit)
            await gives(thoughts, finish="length", usage=bill(used))(exchange)
        else:
            await gives(thoughts, {"content": '{"a": 1}'}, usage=bill(Tokens(20, needs + 9)))(exchange)

    return move


def bill(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "completion_tokens_details": {"reasoning_tokens": tokens.output},
    }


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_cut_off_by_thoughts_gets_more_room(server: Server, stream: bool) -> None:
    model, ledger = opened(server, thinker(6000), stream=stream), Free()
    for requests in (3, 4):
        called = await call([model], question(schema=SCHEMA, max_tokens=1500), ledger, HASTE)
        assert (called.answer.text, len(server.asked)) == ('{"a": 1}', requests)
    assert [exchange.body["max_tokens"] for exchange in server.asked] == [1500, 5500, 17500, 17500]
    assert [used.output_tokens for _, used in ledger.spent if used] == [1500, 5500], "thoughts are paid for"
    assert [worst.output_tokens for worst in ledger.reserved] == [1500, 5500, 17500, 17500]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_room_for_thoughts_ends(server: Server, stream: bool) -> None:
    """Thoughts that fill every room end as an answer that was cut off; MODEL_MAX_TOKENS holds for all."""
    called = await call(
        [opened(server, thinker(10**6), stream=stream)], question(max_tokens=1500), Free(), HASTE
    )
    assert (called.answer.text, called.answer.finish_reason, len(server.asked)) == ("", "length", 4)
    model = opened(server, thinker(10**6), stream=stream, longest=2000)
    assert (await call([model], question(max_tokens=1500), Free(), HASTE)).answer.finish_reason == "length"
    assert [exchange.body["max_tokens"] for exchange in server.asked] == [1500, 2000]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_that_is_itself_too_long_gets_no_more_room(server: Server, stream: bool) -> None:
    cut = gives({"reasoning_content": "Hm."}, {"content": "x" * 9000}, finish="length")
    called = await call([opened(server, cut, stream=stream)], question(max_tokens=1500), Free(), HASTE)
    assert (called.answer.finish_reason, len(server.asked)) == ("length", 1)


EFFORT = [("off", "none", 0), ("low", "low", 4000), ("medium", "medium", 16000), ("high", "high", 32000)]


@pytest.mark.parametrize(("setting", "sent", "room"), EFFORT)
async def test_how_much_a_model_should_think(server: Server, setting: str, sent: str, room: int) -> None:
    model = opened(server, says("Well."), reasoning=setting)
    await call([model], question(max_tokens=1000), Free(), HASTE)
    assert (last_body(server)["reasoning_effort"], last_body(server)["max_tokens"]) == (sent, 1000 + room)


async def test_nothing_is_said_of_thinking_by_itself(server: Server) -> None:
    await opened(server, says("Well.")).ask(question())
    assert last_body(server).keys() == {"model", "messages", "max_tokens", "stream", "stream_options"}


async def test_a_server_that_reads_only_a_part_is_told(server: Server) -> None:
    """Ollama cuts prompts at its own window; only its bill says so."""
    model = opened(server, says("Well.", tokens=Tokens(4096, 5)))
    with structlog.testing.capture_logs() as logs:
        for size in (20_000, 30_000, 40_000, 50_000):
            await model.ask(question(Message("user", "x" * size)))
    told = [line["learned"] for line in logs if line["event"] == "model.learned"]
    assert len(told) == 1
    assert "only the last 4096 tokens" in told[0]
    assert "OLLAMA_CONTEXT_LENGTH" in told[0]


BAD_SAMPLES = {
    "Groq, a call": openai_error(
        "Failed to call a function. Please adjust your prompt.", code="tool_use_failed"
    ),
    "Groq, JSON": openai_error(
        "Failed to validate JSON. Please adjust your prompt.", code="json_validate_failed"
    ),
    "llama.cpp": openai_error("Failed to parse input at pos 12: <tool_call>", status=500),
}


@pytest.mark.parametrize("refusal", BAD_SAMPLES.values(), ids=BAD_SAMPLES)
async def test_a_bad_sample_is_asked_for_again(server: Server, refusal: Move) -> None:
    model = opened(server, refusal, says("Well."))
    assert (await call([model], question(), Free(), HASTE)).answer.text == "Well."


REASONS_WITHOUT_A_CURE = [
    (
        openai_error(
            "This model's maximum context length is 4096 tokens. However, your messages resulted in "
            "5000 tokens. Please reduce the length of the messages."
        ),
        "MODEL_MAX_TOKENS",
    ),
    (
        error(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "the request exceeds the available context size (4096 tokens), "
                    "try increasing it",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 5000,
                    "n_ctx": 4096,
                }
            },
        ),
        "--ctx-size",
    ),
    (
        openai_error("registry.ollama.ai/library/gemma does not support tools"),
        "choose a model that takes them",
    ),
    (
        openai_error(
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        ),
        "tool parser",
    ),
]


@pytest.mark.parametrize(("refusal", "hint"), REASONS_WITHOUT_A_CURE)
async def test_a_refusal_without_a_cure_names_the_setting(server: Server, refusal: Move, hint: str) -> None:
    asked = question(Message("user", "x" * 20_000), tools=(LOOK,), max_tokens=2000)
    with pytest.raises(ModelUnavailable, match=hint) as problem:
        await call([opened(server, refusal)], asked, Free(), HASTE)
    assert problem.value.then is Then.NOTHING
    assert len(server.asked) <= 4


@pytest.mark.parametrize(
    ("key", "said", "quoted"),
    [
        ("x", "the next index is exotic", "the next index is exotic"),
        ("EMPTY", "EMPTY is not EMPTYABLE", "… is not EMPTYABLE"),
        (KEY, f"prefix{KEY}suffix", "prefix…suffix"),
    ],
)
async def test_a_key_is_blanked_but_no_parts_of_words(
    server: Server, key: str, said: str, quoted: str
) -> None:
    with pytest.raises(ModelUnavailable, match=quoted):
        await opened(server, refuses(400, said), key=key).ask(question())

"""Refusals that are no answer, and what is said of them."""

import pytest
import structlog

from tests.helpers.lineup import HASTE
from tests.helpers.model_server import Move, Server, refuses, says
from tests.llm.single import (
    KEY,
    LOOK,
    SCHEMA,
    Free,
    error,
    openai_error,
    opened,
    question,
)
from workers.llm.calling import call
from workers.llm.model import Message, ModelUnavailable, Then, Tokens


async def test_a_server_that_reads_only_a_part_is_told(server: Server) -> None:
    """Ollama cuts prompts at its own window; only its bill says so."""
    model = opened(server, says("Well.", tokens=Tokens(4096, 5)))
    with structlog.testing.capture_logs() as logs:
        for size in (40_000, 60_000, 80_000, 100_000):
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
    "Groq, with what it has thrown away": error(
        400,
        {
            "error": {
                "message": "Failed to call a function.",
                "code": "tool_use_failed",
                "failed_generation": "raise ValueError('tool_choice and json schema are not supported')",
            }
        },
    ),
    "llama.cpp": openai_error("Failed to parse input at pos 12: <tool_call>", status=500),
}


@pytest.mark.parametrize("refusal", BAD_SAMPLES.values(), ids=BAD_SAMPLES)
async def test_a_bad_sample_is_asked_for_again(server: Server, refusal: Move) -> None:
    model = opened(server, refusal, says("Well."))
    asked = question(schema=SCHEMA, tools=(LOOK,))
    assert (await call([model], asked, Free(), HASTE)).answer.text == "Well."
    assert model.learned.times == 0, "nothing is learned of a model's own words"


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


async def test_a_word_of_any_sentence_is_not_learned(server: Server) -> None:
    """An error of a proxy speaks of a stream, but does not refuse one."""
    trouble = openai_error("Unexpected end of stream from upstream, extra data", status=500)
    model = opened(server, trouble, says("Well."))
    assert (await call([model], question(), Free(), HASTE)).answer.text == "Well."
    assert model.learned.times == 0


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

"""What the library has received, as our answer."""

import re
from collections.abc import Iterable

import orjson
from pydantic_ai.messages import (
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.usage import RequestUsage

from app.domain.values import clip
from workers.llm.asking import ANSWER_TOOL, Asked
from workers.llm.model import Answer, Tokens, ToolCall
from workers.llm.thinking import spoken
from workers.llm.translation import thoughts_of

MAX_ANSWER_CHARS = 400_000
"""More characters than any `max_tokens` of ours allows. A server that sends more is cut off."""

MAX_CALLS = 100
"""The most tool calls of one answer. Fewer are carried out."""

ENDED = {
    "stop": "stop",
    "length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_length": "length",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}
"""Why an answer has ended, in our words: by the library's reason, or by a server's own that the library does
not know. Another one is `other`."""

CHARS_A_TOKEN = 2
"""Fewer than a token of an answer has, so that an answer within its limit is not taken for one beyond it."""


def answer_of(asked: Asked, response: ModelResponse, name: str, speaker: str) -> Answer:
    """The answer of model `name`. Raises ValueError if it was broken off, or its server says that it went
    wrong."""
    finish = _ended(response)
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if asked.question.schema is not None:
        text = next((arguments(call) for call in calls if call.tool_name == ANSWER_TOOL), text)
        calls = []
        if not text and finish != "length":
            text = thought(response)  # some parsers take a typed answer for a thought
    tools = [tool.name for tool in asked.question.tools]
    usage = response.usage
    told = usage.input_tokens or usage.output_tokens
    return Answer(
        text=clip(spoken(text), MAX_ANSWER_CHARS),
        model=name,
        calls=tuple(
            ToolCall(
                f"call{place}",
                clip(_tool_name(call.tool_name, tools), 100),
                clip(arguments(call), MAX_ANSWER_CHARS),
            )
            for place, call in enumerate(calls)
        ),
        tokens=tokens_of(usage) if told else None,
        finish_reason=finish,
        thoughts=thoughts_of(response, speaker, asked.exchange.kept),
    )


def tokens_of(usage: RequestUsage) -> Tokens:
    """What the library has read of a bill. Its input includes what was read from a cache or written to it."""
    return Tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)


def _ended(response: ModelResponse) -> str:
    """Why the answer ended. Raises ValueError if nothing says so: then it was broken off."""
    said = response.finish_reason or (response.provider_details or {}).get("finish_reason")
    if said is None:
        raise ValueError("it broke off: nothing says why the answer has ended")
    ended = ENDED.get(str(said).lower(), "other")
    if ended == "error":
        raise ValueError(f"its server says that the answer went wrong ({said})")
    return ended


def cut_off_by_thoughts(asked: Asked, response: ModelResponse, answer: Answer, room: int) -> bool:
    """Whether thoughts have taken the tokens that the answer needed."""
    if answer.finish_reason != "length":
        return False
    own = len(answer.text) + sum(len(call.arguments) for call in answer.calls)
    if not answer.text and not answer.calls:
        return True
    thinks = thought(response) or response.usage.details.get("reasoning_tokens")
    return bool(thinks) and own < CHARS_A_TOKEN * (asked.limit - room)


def thought(response: ModelResponse) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, ThinkingPart))


def is_thinking(response: ModelResponse) -> bool:
    """Whether its text begins with thoughts."""
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    return spoken(text) != text


def arguments(call: ToolCallPart) -> str:
    """The arguments as JSON. Some servers send nothing if there are none."""
    given = call.args if isinstance(call.args, str) else orjson.dumps(call.args or {}).decode()
    return given if given.strip() else "{}"


def _tool_name(name: str, tools: Iterable[str]) -> str:
    """The name of the tool that is meant: some models write others' marks around it."""
    found = {tool for tool in tools if re.search(rf"(?<![A-Za-z0-9_-]){tool}(?![A-Za-z0-9_-])", name)}
    return found.pop() if len(found) == 1 else name


def piece(event: object) -> tuple[str, bool]:
    """The new characters of an event, and whether they are spoken text."""
    match event:
        case (
            PartStartEvent(part=TextPart(content=text))
            | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
        ):
            return text, True
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str() as text)):
            return text, False
        case (
            PartStartEvent(part=ToolCallPart(args=str() as text) | ThinkingPart(content=text))
            | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str() as text))
        ):
            return text, False
        case PartStartEvent(part=ToolCallPart(args=dict()) as call):
            return arguments(call), False  # Google's calls come whole
    return "", False

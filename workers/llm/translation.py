"""Our turns as the library's, and a model's reasoning on its way through our rows."""

from collections.abc import Iterable

import orjson
from pydantic_ai import __version__ as library_version
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from app.domain.values import clean
from workers.llm.model import Message


def to_library(messages: Iterable[Message], instructions: str, model: str) -> list[ModelMessage]:
    """Our turns as the library's. Ids of calls are made anew, so that doubled or missing ones do no harm; a
    call without a result gets one that says so; instructions stand on every request, since only the last
    request's are sent."""
    found: list[ModelMessage] = []
    waiting: list[tuple[str, str]] = []
    parts: list[ModelRequestPart] = []

    def flush() -> None:
        parts.extend(ToolReturnPart(name, "(no result)", tool_call_id=ident) for name, ident in waiting)
        waiting.clear()
        if parts:
            found.append(ModelRequest(parts=list(parts), instructions=instructions))
            parts.clear()

    for place, message in enumerate(messages):
        match message.role:
            case "user":
                parts.append(UserPromptPart(message.text))
            case "tool" if waiting:
                name, ident = waiting.pop(0)
                parts.append(ToolReturnPart(name, message.text, tool_call_id=ident))
            case "assistant":
                flush()
                waiting = [(call.name, f"c{place:05}{n:03}") for n, call in enumerate(message.calls)]
                found.append(ModelResponse(parts=_said(message, waiting, model)))
    flush()
    return found


def _said(message: Message, calls: list[tuple[str, str]], model: str) -> list[ModelResponsePart]:
    parts: list[ModelResponsePart] = list(_thoughts_again(message.thoughts, model))
    if message.text or not calls:
        parts.append(TextPart(message.text or "(nothing)"))
    pairs = zip(message.calls, calls, strict=True)
    parts += [ToolCallPart(name, _valid(call.arguments), tool_call_id=ident) for call, (name, ident) in pairs]
    return parts


def _valid(arguments: str) -> str:
    """Arguments as they may be sent back: some servers parse them, and end the call when they cannot."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else _json({"value": arguments})
    except orjson.JSONDecodeError:
        return _json({"malformed": arguments[:2000]})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def thoughts_of(response: ModelResponse, model: str) -> str:
    """A model's reasoning, to be shown to it again: opaque, of no use to another one or another version."""
    parts = [part for part in response.parts if isinstance(part, ThinkingPart)]
    if not parts:
        return ""
    body = ModelMessagesTypeAdapter.dump_json([ModelResponse(parts=list(parts))]).decode()
    return clean(f"{library_version} {model} {body}")


def _thoughts_again(thoughts: str, model: str) -> list[ThinkingPart]:
    head = f"{library_version} {model} "
    if not thoughts.startswith(head):
        return []
    (response,) = ModelMessagesTypeAdapter.validate_json(thoughts.removeprefix(head))
    return [part for part in response.parts if isinstance(part, ThinkingPart)]

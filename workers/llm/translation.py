"""Our turns as the library's, and a model's reasoning on its way through our rows."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

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

P = TypeVar("P", TextPart, ToolCallPart)

KEPT = "boardroom_kept"
"""The key of what was kept for a server, in the library's details of a response."""


def to_library(messages: Iterable[Message], instructions: str, speaker: str) -> list[ModelMessage]:
    """Our turns as the library's. Ids of calls are made anew, so that doubled or missing ones do no harm; a
    call without a result gets one that says so; messages of the user in a row are joined, since many models'
    templates refuse them; instructions stand on every request, since only the last request's are sent."""
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
            case "user" if parts and isinstance(last := parts[-1], UserPromptPart):
                parts[-1] = UserPromptPart(f"{last.content}\n\n{message.text}")
            case "user":
                parts.append(UserPromptPart(message.text))
            case "tool" if waiting:
                name, ident = waiting.pop(0)
                parts.append(ToolReturnPart(name, message.text, tool_call_id=ident))
            case "assistant":
                flush()
                waiting = [(call.name, f"c{place:05}{n:03}") for n, call in enumerate(message.calls)]
                found.append(_said(message, waiting, speaker))
    flush()
    return found


def _said(message: Message, calls: list[tuple[str, str]], speaker: str) -> ModelResponse:
    """The turn as its model has given it: its thoughts, and what its vendor wants to have back, at their
    places."""
    pairs = zip(message.calls, calls, strict=True)
    made = [ToolCallPart(name, _valid(call.arguments), tool_call_id=ident) for call, (name, ident) in pairs]
    text = [TextPart(message.text or "(nothing)")] if message.text or not calls else []
    before = _thoughts_again(message.thoughts, speaker)
    if before is None:
        return ModelResponse(parts=[*text, *made])
    parts: list[ModelResponsePart] = []
    waiting, texts = iter(made), iter(text)
    for part in before.parts:
        match part:
            case ThinkingPart():
                parts.append(part)
            case TextPart() if (said := next(texts, None)) is not None:
                parts.append(_like(said, part))
            case ToolCallPart() if (call := next(waiting, None)) is not None:
                parts.append(_like(call, part))
    return ModelResponse(parts=[*parts, *texts, *waiting], provider_details=before.provider_details)


def _like(part: P, before: P) -> P:
    return replace(part, provider_name=before.provider_name, provider_details=before.provider_details)


def _valid(arguments: str) -> str:
    """Arguments as they may be sent back: some servers parse them, and end the call when they cannot."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else _json({"value": arguments})
    except orjson.JSONDecodeError:
        return _json({"malformed": arguments[:2000]})


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def thoughts_of(response: ModelResponse, speaker: str, kept: Mapping[str, Any]) -> str:
    """What a model has to be shown again beside its words: its reasoning, signatures of its parts, and fields
    that were `kept` for its server. Opaque, of no use to another speaker or another version."""
    parts = [part for part in map(_shell, response.parts) if part is not None]
    if not kept and not any(isinstance(part, ThinkingPart) or part.provider_details for part in parts):
        return ""
    shell = ModelResponse(parts=parts, provider_details={KEPT: kept} if kept else None)
    body = ModelMessagesTypeAdapter.dump_json([shell]).decode()
    return clean(f"{library_version} {speaker} {body}")


def _shell(part: ModelResponsePart) -> ThinkingPart | TextPart | ToolCallPart | None:
    """The part without what is stored elsewhere."""
    match part:
        case ThinkingPart():
            return part
        case TextPart():
            return replace(part, content="")
        case ToolCallPart():
            return replace(part, args=None)
    return None


def _thoughts_again(thoughts: str, speaker: str) -> ModelResponse | None:
    head = f"{library_version} {speaker} "
    if not thoughts.startswith(head):
        return None
    (response,) = ModelMessagesTypeAdapter.validate_json(thoughts.removeprefix(head))
    return response if isinstance(response, ModelResponse) else None


def kept_of(message: ModelResponse) -> Mapping[str, Any]:
    """What was `kept` for this turn's server."""
    found = (message.provider_details or {}).get(KEPT)
    return found if isinstance(found, Mapping) else {}

"""How a long tool loop is shortened before it is sent to the model again: the newest turns are sent whole,
older ones in outline.

The limit between them moves in steps of several turns. So the beginning of the request stays the same for
many turns, and the provider's cache can be used.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import orjson

from workers.llm.model import Message, ToolCall

WHOLE_TURNS, STEP = 8, 8
"""At least WHOLE_TURNS stay whole; the limit moves by STEP turns."""

MAX_CHARS = 240_000
"""The most that the whole turns have together. Beyond it older ones are outlined earlier, but never the
last."""

OUTLINE_CHARS = 300


def bounded(first: Message, turns: Sequence[Sequence[Message]]) -> tuple[Message, ...]:
    """The messages to send. The same turns always give the same messages."""
    line = max(len(turns) - WHOLE_TURNS, 0) // STEP * STEP
    newest_first = accumulate(sum(map(_size, turn)) for turn in reversed(turns))
    fit = sum(size <= MAX_CHARS for size in newest_first)
    line = max(line, len(turns) - max(fit, 1))
    old = [_outline(message) for turn in turns[:line] for message in turn]
    return (first, *old, *(message for turn in turns[line:] for message in turn))


def _size(message: Message) -> int:
    return len(message.text) + sum(len(call.arguments) for call in message.calls)


def _outline(message: Message) -> Message:
    calls = tuple(ToolCall(call.id, call.name, _short_arguments(call.arguments)) for call in message.calls)
    return replace(message, text=_short(message.text), calls=calls, thoughts="")


def _short(text: str) -> str:
    if len(text) <= 2 * OUTLINE_CHARS:
        return text
    left_out = len(text) - OUTLINE_CHARS
    return f"{text[:OUTLINE_CHARS]}\n({left_out} characters left out here; call again if you need them)"


def _short_arguments(arguments: str) -> str:
    if len(arguments) <= 2 * OUTLINE_CHARS:
        return arguments
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return "{}"
    if not isinstance(given, dict):
        return "{}"
    short = {name: _short(value) if isinstance(value, str) else value for name, value in given.items()}
    return orjson.dumps(short).decode()

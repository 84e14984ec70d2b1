"""What of a long tool loop is shown to the model again: the newest turns whole, older ones in outline.

The line between them moves in steps, so that the beginning of the request stays the same for many turns and
a provider's cache can serve it.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import orjson

from workers.llm.model import Message, ToolCall

WHOLE_TURNS, STEP = 8, 8
"""At least so many turns stay whole; the line moves by so many."""

MAX_CHARS = 240_000
"""Whole turns together; beyond it older ones are outlined early, but for the last."""

OUTLINE_CHARS = 300


def bounded(first: Message, turns: Sequence[Sequence[Message]]) -> tuple[Message, ...]:
    """The first message and the turns as they are sent: the same facts always make the same request."""
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

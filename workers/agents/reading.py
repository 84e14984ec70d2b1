"""Reads JSON that models write: an answer with words around it, arguments with raw line breaks, a key too
many.

Taken is what can be meant in one way only; then its shape validates it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

B = TypeVar("B", bound=BaseModel)

MAX_WRAPPED = 3
"""How many objects may stand around what is meant."""

MAX_OBJECTS = 50
"""How many places of a text are looked at for an object, and how often a shape is tried on one."""

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


_CALL = re.compile(
    r"<tool_?call>|<function[=_]|<\|tool|\[TOOL_CALLS\]|<\|python_tag\|>|<invoke |```tool_(?:code|call)|"
    r"<\|channel\|>commentary to="
)
"""How models write a tool call in words, if their server does not read it out of them."""


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)
"""Takes raw line breaks and tabs in strings, as many models write them."""


@dataclass(frozen=True)
class Read(Generic[B]):
    """What was read, and the names of what was `ignored` in it: keys that do not exist, and nulls."""

    value: B
    ignored: Sequence[str] = field(default=())


def read_answer(shape: type[B], text: str) -> B:
    """The last JSON object of the text that fits `shape`. Raises ValidationError if none does: that of the
    longest object."""
    text = without_nul(text)
    start, end = text.find("{"), text.rfind("}")
    try:
        return shape.model_validate_json(text[start : end + 1] if 0 <= start < end else text)
    except ValidationError as error:
        problem = error
    longest = 0
    for value, length in reversed(list(_objects(text))):
        try:
            return _fit(shape, value).value
        except ValidationError as error:
            if length > longest:
                problem, longest = error, length
    raise problem


def writes_calls(text: str) -> bool:
    """Whether the text holds a tool call, which its server should have taken out of it."""
    return _CALL.search(text) is not None


def without_nul(text: str) -> str:
    """JSON without NUL characters in its strings, which cannot be stored."""
    return _NUL.sub(r"\1\\ufffd", text)


def read_arguments(shape: type[B], text: str) -> Read[B]:
    """The arguments of a tool call. Raises ValidationError."""
    try:
        return Read(shape.model_validate_json(text))
    except ValidationError as error:
        problem = error
    value = _value(text)
    if isinstance(value, str):
        value = _value(value)  # encoded twice
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        return _fit(shape, value)
    raise problem


def _value(text: str) -> Any:
    """The JSON value at the beginning of the text, in a code fence or not; None if there is none."""
    text = re.sub(r"^\s*```\w*|^\s+", "", text).lstrip()
    try:
        return _DECODER.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _objects(text: str) -> Iterator[tuple[dict[str, Any], int]]:
    """The JSON objects that stand in the text, each with its length."""
    place = text.find("{")
    for _ in range(MAX_OBJECTS):
        if place < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield value, end - place
        place = text.find("{", end)


def _fit(shape: type[B], value: dict[str, Any]) -> Read[B]:
    """The object in this shape, without keys that the shape does not have and nulls for what has a default.
    If the object is wrapped in another, it is taken out. Raises ValidationError."""
    value = _unwrapped(shape, value, MAX_WRAPPED) or value
    ignored: list[str] = []
    while True:
        try:
            return Read(shape.model_validate(value), ignored)
        except ValidationError as error:
            new = [name for item in error.errors(include_url=False) if (name := _dropped(value, item))]
            if not new or len(ignored) > MAX_OBJECTS:
                raise
            ignored += new


def _unwrapped(shape: type[B], value: object, depth: int) -> dict[str, Any] | None:
    """The object with a key of the shape, in the value or so deep inside; None if there is none."""
    if isinstance(value, str):
        value = _value(value)
    if not isinstance(value, dict):
        return None
    if value.keys() & shape.model_fields.keys():
        return value
    inside = (_unwrapped(shape, inner, depth - 1) for inner in value.values() if depth)
    return next((found for found in inside if found is not None), None)


def _dropped(value: Any, error: Any) -> str:
    """Take out what the error is about, if it is a key too many or a null; returns its name."""
    if error["type"] != "extra_forbidden" and error["input"] is not None:
        return ""
    *path, name = error["loc"]
    for key in path:  # some are names of alternatives, which stand nowhere
        here = range(len(value)) if isinstance(value, list) else value
        if isinstance(here, dict | range) and key in here:
            value = value[key]
    if not isinstance(value, dict) or name not in value:
        return ""
    del value[name]
    return str(name)

"""Ids, timestamps and texts, in the form in which clients see them."""

import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, PlainSerializer, StringConstraints, WithJsonSchema

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def stamp(moment: datetime) -> str:
    """`2026-11-23T04:15:00.123456Z`, always with six digits and always UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Stamp = Annotated[
    datetime,
    PlainSerializer(stamp, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
            "description": "UTC, always with six digits.",
            "examples": ["2026-11-23T04:15:00.123456Z"],
        }
    ),
]
"""A moment that clients see in the form of `stamp`."""


def parse_id(text: str) -> UUID | None:
    """A UUID in its canonical form of 36 characters; None for any other text."""
    if len(text) != 36:
        return None
    try:
        return UUID(text)
    except ValueError:
        return None


def clean(text: str) -> str:
    """Text that PostgreSQL can store: NUL and lone surrogates are replaced. Only for texts of models and
    boxes."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, cleaned. A cut text ends with an ellipsis."""
    text = clean(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def storable(text: str) -> str:
    """The text. Raises ValueError if PostgreSQL cannot store it."""
    if _UNSTORABLE.search(text):
        raise ValueError("must not contain NUL or lone surrogates")
    return text


def not_blank(text: str) -> str:
    """The text. Raises ValueError if it is blank."""
    if not text.strip():
        raise ValueError("must not be blank")
    return text


ClientText = Annotated[str, AfterValidator(storable)]
"""Text of a client. It is refused, not cleaned, if it cannot be stored."""

Prompt = Annotated[
    str,
    StringConstraints(min_length=1, max_length=5000),
    AfterValidator(storable),
    AfterValidator(not_blank),
]
"""An idea, a requirement or a chat message: 1–5000 characters, not blank."""

"""JSON schemas as model servers can compile them to grammars. Bounds are not sent but told in words: every
answer and every call is validated here anyway."""

from collections.abc import Mapping
from typing import Any

TOLD: dict[str, str] = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "format": "a {}",
}
"""Keywords that some servers refuse or misread (llama.cpp: `maxLength` from 2000 on, a pattern that does not
begin with ^), and how they are said in a description."""

_DROPPED = {"title", "discriminator", "uniqueItems", *TOLD}
_OF_SCHEMAS = ("properties", "$defs", "patternProperties")
_IN_SCHEMAS = ("anyOf", "allOf", "prefixItems")


def sendable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without what is in TOLD, which its descriptions say instead. `oneOf` becomes `anyOf`."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _OF_SCHEMAS:
            found[key] = {name: sendable(inner) for name, inner in value.items()}
        elif key in _IN_SCHEMAS or key == "oneOf":
            found["anyOf" if key == "oneOf" else key] = [sendable(inner) for inner in value]
        elif key in ("items", "additionalProperties", "not") and isinstance(value, Mapping):
            found[key] = sendable(value)
        elif key not in _DROPPED:
            found[key] = value
    if bounds := [words.format(schema[key]) for key, words in TOLD.items() if _bounds(schema, key)]:
        told = ", ".join(bounds)
        said = schema.get("description", "")
        found["description"] = f"{said} ({told})" if said else told[0].upper() + told[1:]
    return found


def _bounds(schema: Mapping[str, Any], key: str) -> bool:
    """Whether it is a bound that says something: not that a text has one character at least, or a list no
    item."""
    value = schema.get(key)
    least = {"minLength": 1, "minItems": 0}.get(key)
    return isinstance(value, str | int | float) and (least is None or value != least)

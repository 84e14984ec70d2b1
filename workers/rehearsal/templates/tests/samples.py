"""Values to test with, made for whatever fields the collection has."""

from collection import FIELDS

WRONG = {"number": "many", "date": "yesterday", "choice": "none of these", "yes_no": "perhaps"}


def sample(**others):
    """A valid item with every field given; `others` replaces some of them."""
    return {field.name: value(field) for field in FIELDS} | others


def value(field):
    if field.kind == "number":
        return field.minimum if field.minimum is not None else 7
    if field.kind == "date":
        return "2026-03-21"
    if field.kind == "choice":
        return field.choices[0]
    return True if field.kind == "yes_no" else f"Some {field.label.lower()}"


def first(*kinds):
    """The first field of one of these kinds, or None."""
    return next((field for field in FIELDS if field.kind in kinds), None)

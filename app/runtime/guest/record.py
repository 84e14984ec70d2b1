"""A light replacement of `dataclass` and NamedTuple, which take time to load and compile
(docs/decisions/0021)."""

from typing import Any, dataclass_transform


@dataclass_transform()
class Record:
    """A base of classes with annotated fields, given by position or by name; defaults are class
    attributes."""

    def __init__(self, *values: Any, **named: Any) -> None:
        vars(self).update(zip(type(self).__annotations__, values, strict=False), **named)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

"""What a NamedTuple gives, without what that loads and compiles for each (docs/decisions/0021)."""

from typing import Any, dataclass_transform


@dataclass_transform()
class Record:
    """Fields by position or by name; a default stands in the class."""

    def __init__(self, *values: Any, **named: Any) -> None:
        vars(self).update(zip(type(self).__annotations__, values, strict=False), **named)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

"""What the cast understood: one collection of things with typed fields, and what is to be done with it.

The cast has no memory. Whatever one of its agents understood, it writes into the requirements in sentences
that the others can read again: `write_*` and `read_blueprint` are each other's inverse.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from workers.agents.outputs import Requirement
from workers.rehearsal.words import countable

Kind = Literal["text", "note", "number", "date", "yes_no", "choice"]

KIND_WORDS: dict[Kind, str] = {
    "text": "text",
    "note": "long text",
    "number": "number",
    "date": "date",
    "yes_no": "yes or no",
    "choice": "choice",
}
_KINDS = {words: kind for kind, words in KIND_WORDS.items()}
MOST_FIELDS = 24
MOST_WORDS = 2000
"""Characters that all fields together may take."""

_RESERVED = frozenset({"id", "created_at", "q", "notice", "total", "items"})


@dataclass(frozen=True)
class Field:
    """`label` is in the client's words, with a capital; `minimum` and `maximum` are for numbers."""

    label: str
    kind: Kind = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def name(self) -> str:
        """The column's name: letters, digits and underscores, never one the app uses itself."""
        plain = slug(self.label) or "field_" + "_".join(f"{ord(char):x}" for char in self.label[:6])
        return f"{plain}_" if plain in _RESERVED else plain if plain[0].isalpha() else f"f_{plain}"


@dataclass(frozen=True)
class Blueprint:
    """`one` and `many` name the things, in lower case. `filters` are names of fields. `hue` is the accent
    colour in degrees."""

    title: str
    one: str
    many: str
    fields: tuple[Field, ...]
    icon: str = "🗂️"
    hue: int = 250
    filters: tuple[str, ...] = ()
    export: bool = False
    added: tuple[str, ...] = field(default=())
    """Names of the fields that came by a continuation."""
    beyond: tuple[str, ...] = field(default=(), compare=False)
    """Labels of the fields that were asked for at first and have no room. No requirement keeps them."""

    @property
    def table(self) -> str:
        """Name of the table, the addresses and the files of this collection."""
        plain = slug(self.many) or "things"
        return plain if plain[0].isalpha() else f"t_{plain}"

    @property
    def a_one(self) -> str:
        return f"{'an' if self.one[:1] in 'aeiou' else 'a'} {countable(self.one)}"

    def field(self, name: str) -> Field | None:
        return next((item for item in self.fields if item.name == name), None)

    def before(self, name: str) -> "Blueprint":
        """As it was before the added field `name` and those after it."""
        gone = set(self.added[self.added.index(name) :])
        return replace(self, fields=tuple(item for item in self.fields if item.name not in gone))


def slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_text.lower()).strip("_")[:40].strip("_")


def write_field(item: Field) -> str:
    """`rating (number, from 1 to 5)`."""
    words = [KIND_WORDS[item.kind]]
    if item.required:
        words.append("required")
    if item.minimum is not None and item.maximum is not None:
        words.append(f"from {item.minimum:g} to {item.maximum:g}")
    elif item.minimum is not None:
        words.append(f"at least {item.minimum:g}")
    elif item.maximum is not None:
        words.append(f"at most {item.maximum:g}")
    choices = f": {' / '.join(item.choices)}" if item.choices else ""
    return f"{item.label} ({', '.join(words)}{choices})"


def has_room(fields: Iterable[Field], new: Field) -> bool:
    """Whether one more field can still be told in a requirement and tried in a check."""
    every = [*fields, new]
    return len(every) <= MOST_FIELDS and sum(len(write_field(item)) for item in every) <= MOST_WORDS


_FIELD = re.compile(
    r"(?P<label>[^();]+) \((?P<kind>[a-z ]+)(?P<rules>(?:, [^,:;()]+)*)(?:: (?P<choices>[^();]+))?\)"
)
_NUMBER = r"(-?[\d.]+)"


def read_fields(text: str) -> tuple[Field, ...]:
    """The fields of a sentence made of `write_field`s joined by `; `."""
    found = []
    for match in _FIELD.finditer(text):
        rules = match["rules"]
        lowest = re.search(rf"(?:from|at least) {_NUMBER}", rules)
        highest = re.search(rf"(?:to|at most) {_NUMBER}", rules)
        if match["kind"] in _KINDS:
            found.append(
                Field(
                    label=match["label"].strip(),
                    kind=_KINDS[match["kind"]],
                    required="required" in rules,
                    choices=tuple((match["choices"] or "").split(" / ")) if match["choices"] else (),
                    minimum=float(lowest[1]) if lowest else None,
                    maximum=float(highest[1]) if highest else None,
                )
            )
    return tuple(found)


KEEP, SEE, EDIT, FIND = "keep", "see", "edit", "find"
"""What every collection can do; the key is the first word of the requirement's title."""

EXPORT_TITLE = "Export as CSV"
FIELD_TITLE = "Another field: "
FILTER_TITLE = "Filter by "
CANNOT_TITLE = "Asked for: "
THERE_TITLE = "Already there: "


def write_keep(plan: Blueprint) -> str:
    fields = "; ".join(write_field(item) for item in plan.fields)
    return (
        f'The app "{plan.title}" {plan.icon} (colour {plan.hue}) keeps {plan.many}. '
        f"Each {plan.one} has: {fields}. What was entered is still there after a restart, "
        "and wrong values are refused with a message that says what is wrong."
    )


_KEEP = re.compile(
    r'The app "(?P<title>[^"]+)" (?P<icon>\S+) \(colour (?P<hue>\d{1,3})\) keeps (?P<many>.+?)\. '
    r"Each (?P<one>.+?) has: (?P<fields>.+?)\. What was entered"
)


def write_added(plan: Blueprint, item: Field) -> str:
    return f"Each {plan.one} also has: {write_field(item)}. The {plan.many} already there are kept."


def read_blueprint(requirements: Iterable[Requirement]) -> Blueprint | None:
    """The blueprint as requirements tell it; None where nobody of the cast wrote them."""
    plan: Blueprint | None = None
    for item in requirements:
        kept = _KEEP.search(item.description)
        if kept:
            fields = read_fields(kept["fields"])
            plan = Blueprint(kept["title"], kept["one"], kept["many"], fields, kept["icon"], int(kept["hue"]))
        elif plan and item.title.startswith(FIELD_TITLE):
            more = tuple(new for new in read_fields(item.description.split(" also has: ")[-1]))
            names = tuple(new.name for new in more)
            plan = replace(plan, fields=plan.fields + more, added=plan.added + names)
        elif plan and item.title == EXPORT_TITLE:
            plan = replace(plan, export=True)
        elif plan and item.title.startswith(FILTER_TITLE):
            name = Field(item.title.removeprefix(FILTER_TITLE)).name
            plan = replace(plan, filters=(*plan.filters, name)) if plan.field(name) else plan
    return plan

"""Kinds of fields: how something that was typed becomes something that is kept."""

import math
from dataclasses import dataclass
from datetime import date

LONGEST = {"text": 200, "note": 5000}
LARGEST = 10**12
YES = {"yes", "true", "on", "1"}
NO = {"no", "false", "off", "0", ""}


class Refused(ValueError):
    """A value that cannot be kept. The message is a sentence for people."""


@dataclass(frozen=True)
class Field:
    """`kind` is one of text, note (long text), number, date, yes_no and choice.

    `clean` returns a str, a number, an ISO date, a bool, or None for "not given".
    """

    name: str
    label: str
    kind: str = "text"
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def clean(self, typed):
        if self.kind == "yes_no":
            return self._yes_or_no(typed)
        if typed is None or (isinstance(typed, str) and not typed.strip()):
            if self.required:
                raise Refused(f"{self.label} is required.")
            return None
        if self.kind == "number":
            return self._number(typed)
        if not isinstance(typed, str):
            raise Refused(f"{self.label} must be text.")
        if self.kind == "date":
            return self._date(typed.strip())
        if self.kind == "choice":
            return self._choice(typed.strip())
        return self._text(typed.strip())

    def _text(self, typed):
        longest = LONGEST[self.kind]
        if len(typed) > longest:
            raise Refused(f"{self.label} may have at most {longest} characters.")
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in typed):
            raise Refused(f"{self.label} contains a character that cannot be kept.")
        return typed

    def _number(self, typed):
        try:
            number = float("nan" if isinstance(typed, bool) else typed)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or abs(number) > LARGEST:
            raise Refused(f"{self.label} must be a number.")
        if self.minimum is not None and number < self.minimum:
            raise Refused(f"{self.label} must be at least {self.minimum:g}.")
        if self.maximum is not None and number > self.maximum:
            raise Refused(f"{self.label} must be at most {self.maximum:g}.")
        return int(number) if number.is_integer() else number

    def _date(self, typed):
        try:
            return date.fromisoformat(typed).isoformat()
        except ValueError:
            raise Refused(f"{self.label} must be a date such as 2026-03-21.") from None

    def _choice(self, typed):
        if typed not in self.choices:
            raise Refused(f"{self.label} must be one of: {', '.join(self.choices)}.")
        return typed

    def _yes_or_no(self, typed):
        if typed is None or isinstance(typed, bool):
            return bool(typed)
        word = str(typed).strip().lower()
        if word not in YES | NO:
            raise Refused(f"{self.label} must be yes or no.")
        return word in YES


def clean(fields, typed):
    """The values to keep and the messages for what was refused, both by field name."""
    values, errors = {}, {}
    for field in fields:
        try:
            values[field.name] = field.clean(typed.get(field.name))
        except Refused as refusal:
            errors[field.name] = str(refusal)
    return values, errors

"""Shortens what commands print before a model reads it."""

import re
from itertools import groupby

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_FAILURE = re.compile(
    r"^(?:E {2,}\S|\s*(?:[\w.]+(?:Error|Exception|Failure)|not ok|✖|AssertionError)\b).*", re.MULTILINE
)
"""Where a test runner says what failed: pytest's `E`, the end of a traceback, node's reports."""

FEW = 3
"""Equal lines in a row that are shown as they are."""

_SOON = 400
"""A failure within the first characters need not be shown first."""


def shown(text: str, chars: int, *, failed: bool) -> str:
    """The text in at most about `chars` characters: without colours, equal lines folded, the middle left out.
    If the command has `failed`, what failed first is said first where it would stand far down."""
    text = _folded(_COLOURS.sub("", text))
    first = _FAILURE.search(text) if failed else None
    said = f"first failure: {first[0].strip()[:300]}\n" if first and first.start() > _SOON else ""
    return said + without_middle(text, chars)


def without_middle(text: str, chars: int) -> str:
    half = chars // 2
    return text if len(text) <= chars else f"{text[:half]}\n[… the middle is left out …]\n{text[-half:]}"


def _folded(text: str) -> str:
    lines: list[str] = []
    for line, group in groupby(text.split("\n")):
        times = sum(1 for _ in group)
        folds = times > FEW and line.strip()
        lines += [line, f"(this line {times - 1} more times)"] if folds else [line] * times
    return "\n".join(lines)

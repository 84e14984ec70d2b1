"""What agents are told of a ticket's checks: nothing twice.

Checks of a ticket often begin with the same lines, which start the app and wait for it. The Builder runs a
check by its id (`run_check`), and the Project Manager keeps one by its id, so they need each line once.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

from app.domain.ticket import AnyCheck, CommandCheck

FEW = 3
"""So many equal lines in a row are said to be those of an earlier check."""


def without_repeats(checks: Sequence[AnyCheck]) -> list[AnyCheck]:
    """The checks to show. Lines of a command that stand in an earlier one are replaced by a note that says
    where."""
    shown: list[AnyCheck] = []
    earlier: dict[str, list[str]] = {}
    for check in checks:
        if isinstance(check, CommandCheck):
            lines = check.run.split("\n")
            check = check.model_copy(update={"run": "\n".join(_new_lines(lines, earlier))})
            earlier[check.id] = lines
        shown.append(check)
    return shown


def _new_lines(lines: list[str], earlier: dict[str, list[str]]) -> list[str]:
    """The lines, the longest run of equal ones with an earlier command named instead of said."""
    found = [
        (SequenceMatcher(None, before, lines, autojunk=False).find_longest_match(), check_id)
        for check_id, before in earlier.items()
    ]
    match, check_id = max(found, key=lambda each: each[0].size, default=(None, ""))
    if match is None or match.size < FEW:
        return lines
    note = f"[{match.size} lines as in {check_id}, from its line {match.a + 1}]"
    return [
        *_new_lines(lines[: match.b], earlier),
        note,
        *_new_lines(lines[match.b + match.size :], earlier),
    ]

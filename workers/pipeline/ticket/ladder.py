"""Decides what the next attempt at a ticket is given, from how the last one failed. See decision 11.

An attempt that fails in a new way has made progress; the next one is shown the failure. An attempt that fails
like an earlier one has made none: the next one gets more help (it goes up one rung of the ladder). Beyond the
last rung the ticket has failed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from workers.agents.facts import Failure
from workers.steps import digest


class Rung(IntEnum):
    FIRST = 0
    SHOWN = 1
    """It is shown why the attempt before failed, and continues with its code."""
    DIFF = 2
    """It is also shown a diff of everything that was tried."""
    FRESH = 3
    """It also starts again from the last good commit."""
    STRONG = 4
    """It is also made by the model MODEL_STRONG, if there is one."""


WORDS = {
    Rung.SHOWN: "The next attempt is shown why.",
    Rung.DIFF: "That is nothing new: the next attempt is shown all that was tried.",
    Rung.FRESH: "That is nothing new: the next attempt starts again from the last good commit.",
    Rung.STRONG: "The next attempt is made by the model for hard cases.",
}
"""What clients are told about the next attempt."""


@dataclass(frozen=True)
class Standing:
    """What an attempt is given. `begun` is the number of the ticket's first attempt in this run; `seen` are
    the signatures of all failures so far; `tried` is a diff of what the attempts so far have changed; `fresh`
    says that their code was taken back; `over` says that the ticket has failed, so that this attempt is made
    only after a retry by the client."""

    begun: int
    rung: Rung = Rung.FIRST
    fresh: bool = False
    over: bool = False
    failures: list[Failure] = field(default_factory=list)
    tried: str = ""
    seen: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Terms:
    """`most`: the limit of attempts at a ticket. `strong`: MODEL_STRONG is set."""

    most: int
    strong: bool


def climb(now: Standing, attempt: int, failures: list[Failure], tried: str, terms: Terms) -> Standing:
    """What the attempt after number `attempt` is given. `over` after the last rung, or when no attempts are
    left."""
    mark = signature(failures)
    circling = mark in now.seen
    left = terms.most - (attempt - now.begun + 1)
    top = Rung.STRONG if terms.strong else Rung.FRESH
    over = left <= 0 or (circling and now.rung >= top)
    if over:
        rung = top
    elif terms.strong and left == 1:
        rung = Rung.STRONG
    else:
        rung = _up(now.rung, tried) if circling else _on(now.rung)
    return Standing(
        begun=now.begun,
        rung=rung,
        fresh=over or (circling and rung >= Rung.FRESH),
        over=over,
        failures=failures,
        tried=tried,
        seen=[*now.seen, mark],
    )


def _up(rung: Rung, tried: str) -> Rung:
    following = Rung(rung + 1)
    return Rung.FRESH if following is Rung.DIFF and not tried else following


def _on(rung: Rung) -> Rung:
    return rung if rung is Rung.STRONG else Rung.SHOWN


def signature(failures: Sequence[Failure]) -> str:
    """A digest that is the same for failures that differ only in times, ports, paths and the like."""
    found = {f"{f.check}\n{line}" for f in failures for line in (f.reason, *plain(f.output).splitlines())}
    return digest("\n".join(sorted(found)))


_VARIES = re.compile(
    r"\x1b\[[0-9;?]*[A-Za-z]"  # colours
    r"|(?<![\w/])(?:/[\w.@+~-]+){2,}/?"  # paths
    r"|\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f-]*\d)[0-9a-f]{4,}(?:-?[0-9a-f]{4,})*\b"  # addresses, hashes, ids
    r"|\d+(?:[.,:]\d+)*"  # times, ports, sizes, counts
)


def plain(text: str) -> str:
    """`text` without what differs between two runs of the same code: times, ports, hashes, paths, numbers."""
    return _VARIES.sub("·", text)

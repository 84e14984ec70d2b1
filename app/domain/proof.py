"""When a criterion of a ticket is proven: a check of it holds now, and failed before the work.

Before means: on the commit before the ticket (phase `red`), or on the commit at which the run began to build
(phase `run`), which is tried if the check already passed before its ticket. The failure has to be of the run
that planned the ticket. Else the criterion holds, but held before. See decision 36.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum, auto

from app.domain.ticket import Phase

BEFORE: frozenset[Phase] = frozenset({"red", "run"})
"""The phases in which a failure is part of a proof."""

SINCE: frozenset[Phase] = frozenset({"green", "regression", "final"})
"""The phases in which a pass shows that the work was done."""

HELD_BEFORE = "holds, but held before"


class Standing(IntEnum):
    """What is known of a check: `OPEN` that it does not hold, or was never tried before the work; `HELD` that
    it holds, but held before; `KNOWN` the same, but that a check of the same words was proven in another
    run; `PROVEN`. In this order: a criterion stands like the best of its checks."""

    OPEN = auto()
    HELD = auto()
    KNOWN = auto()
    PROVEN = auto()


@dataclass(frozen=True)
class CheckOutcome:
    """A result of a ticket's check in a run. `words` is the digest of what the check does."""

    ticket: Hashable
    words: str
    run: Hashable
    phase: str
    passed: bool


class Proofs:
    """What the results of all runs of a job prove."""

    def __init__(self, outcomes: Iterable[CheckOutcome]) -> None:
        self._failed = defaultdict[tuple[Hashable, str], set[Hashable]](set)
        self._tried = defaultdict[tuple[Hashable, str], set[Hashable]](set)
        passed = set[tuple[Hashable, str, Hashable]]()
        for item in outcomes:
            if item.phase in BEFORE:
                self._tried[item.ticket, item.words].add(item.run)
                if not item.passed:
                    self._failed[item.ticket, item.words].add(item.run)
            elif item.phase in SINCE and item.passed:
                passed.add((item.ticket, item.words, item.run))
        self._proven = defaultdict[str, set[Hashable]](set)
        for (ticket, words), runs in self._failed.items():
            self._proven[words] |= {run for run in runs if (ticket, words, run) in passed}

    def standing(self, ticket: Hashable, words: str, run: Hashable, *, holds: bool) -> Standing:
        """What is known of a check that `holds`, or does not. `run` is the one that planned its ticket; if it
        has not tried the check before the work, as runs before decision 36 may have, any run counts."""
        tried, failed = self._tried[ticket, words], self._failed[ticket, words]
        if not holds or not tried:
            return Standing.OPEN
        if failed if run not in tried else run in failed:
            return Standing.PROVEN
        return Standing.KNOWN if self._proven[words] - {run} else Standing.HELD


def is_shown(criteria: Iterable[Standing]) -> bool:
    """Whether a ticket whose criteria stand like this leaves nothing unproven: each is proven or was so in
    another run, and one is proven in its own. True for a ticket without criteria."""
    found = set(criteria)
    return not found or (Standing.PROVEN in found and found <= {Standing.PROVEN, Standing.KNOWN})

"""Connects each requirement with its tickets, commits, checks and results.

A requirement is proven when every ticket that serves it is done and shown: each criterion has a check that
failed before the work and passed when it was last run (see `proof`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.domain.contests import dropped
from app.domain.proof import CheckOutcome, Proofs, Standing, is_shown
from app.domain.ticket import TicketStatus

Json = dict[str, Any]

Results = Mapping[tuple[str, bool, str], Json]
"""The results of checks, by ticket, whether before the work, and the check's content."""

_NAMES = frozenset({"id", "criterion"})
"""The fields of a check that do not say what it does."""


def rows(
    requirements: Sequence[Json],
    tickets: Sequence[Json],
    evidence: Iterable[Json],
    outcomes: Iterable[Sequence[Any]],
) -> list[Json]:
    """One row per requirement, in their order. Tickets that serve none are in a last row with an empty id.

    `evidence` has for each check of a ticket the last result before the work (`before` is true) and since
    then; `outcomes` are the fields of `proof.CheckOutcome`, for all results of the job.
    """
    results = {(item["ticket_id"], item["before"], _content(item["check"])): item for item in evidence}
    proofs = Proofs(CheckOutcome(*fields) for fields in outcomes)
    traced = [(ticket, _ticket(ticket, results, proofs)) for ticket in tickets]
    known = {item["id"] for item in requirements}
    found = [
        _row(item, [shown for ticket, shown in traced if item["id"] in ticket["requirements"]])
        for item in requirements
    ]
    others = [shown for ticket, shown in traced if not known.intersection(ticket["requirements"])]
    return [*found, _row({}, others)] if others else found


def _row(requirement: Mapping[str, Any], tickets: list[tuple[Json, bool]]) -> Json:
    told = {key: requirement.get(key, "") for key in ("id", "title", "description", "priority")}
    proven = bool(tickets) and all(is_proven for _, is_proven in tickets)
    return {**told, "proven": proven, "tickets": [shown for shown, _ in tickets]}


def _ticket(ticket: Json, results: Results, proofs: Proofs) -> tuple[Json, bool]:
    """The ticket as it is shown, and whether it is done and nothing of it is unproven."""
    stands = [Standing.OPEN] * len(ticket["acceptance_criteria"])
    checks = []
    for check in ticket["checks"]:
        shown, standing = _check(ticket, check, results, proofs)
        checks.append(shown)
        if check["criterion"] < len(stands):
            stands[check["criterion"]] = max(stands[check["criterion"]], standing)
    unproven = dropped(ticket.get("contests"))
    for place, criterion in enumerate(ticket["acceptance_criteria"]):
        stands[place] = Standing.OPEN if criterion in unproven else stands[place]
    told = {key: value for key, value in ticket.items() if key not in ("requirements", "contests")}
    return {**told, "checks": checks}, ticket["status"] == TicketStatus.DONE and is_shown(stands)


def _check(ticket: Json, check: Json, results: Results, proofs: Proofs) -> tuple[Json, Standing]:
    content, criteria = _content(check), ticket["acceptance_criteria"]
    before, after = (results.get((ticket["id"], is_before, content)) for is_before in (True, False))
    standing = Standing.OPEN
    if before and after:
        standing = proofs.standing(ticket["id"], after["words"], ticket["run"], holds=after["passed"])
    shown = {
        "criterion": criteria[check["criterion"]] if check["criterion"] < len(criteria) else "",
        "check": check,
        "before": _result(before),
        "after": _result(after),
        "proven": standing is Standing.PROVEN,
    }
    return shown, standing


def _result(item: Json | None) -> Json | None:
    if item is None:
        return None
    return {key: value for key, value in item.items() if key not in ("ticket_id", "before", "check", "words")}


def _content(check: Json) -> str:
    """What the check does, as text. An absent value is the same as null."""
    return repr(
        sorted((key, value) for key, value in check.items() if key not in _NAMES and value is not None)
    )

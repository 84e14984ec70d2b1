"""Connects each requirement with its tickets, commits, checks and results.

A requirement is proven when every ticket that serves it is done and each criterion of it has a check that
failed before the ticket and passed when it was last run.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.domain.ticket import TicketStatus

Json = dict[str, Any]

_NAMES = frozenset({"id", "criterion"})
"""The fields of a check that do not say what it does."""


def rows(requirements: Sequence[Json], tickets: Sequence[Json], evidence: Iterable[Json]) -> list[Json]:
    """One row per requirement, in their order. Tickets that serve none are in a last row with an empty id.

    `evidence` has for each check of a ticket the last result before the ticket (`before` is true) and since
    then.
    """
    results = {(item["ticket_id"], item["before"], _content(item["check"])): item for item in evidence}
    traced = [(ticket, _ticket(ticket, results)) for ticket in tickets]
    known = {item["id"] for item in requirements}
    found = [
        _row(item, [shown for ticket, shown in traced if item["id"] in ticket["requirements"]])
        for item in requirements
    ]
    others = [shown for ticket, shown in traced if not known.intersection(ticket["requirements"])]
    return [*found, _row({}, others)] if others else found


def _row(requirement: Mapping[str, Any], tickets: list[Json]) -> Json:
    told = {key: requirement.get(key, "") for key in ("id", "title", "description", "priority")}
    proven = bool(tickets) and all(map(_is_proven, tickets))
    return {**told, "proven": proven, "tickets": tickets}


def _is_proven(ticket: Json) -> bool:
    covered = {check["criterion"] for check in ticket["checks"] if check["proven"]}
    return ticket["status"] == TicketStatus.DONE and covered.issuperset(ticket["acceptance_criteria"])


def _ticket(ticket: Json, results: Mapping[tuple[str, bool, str], Json]) -> Json:
    checks = [_check(ticket, check, results) for check in ticket["checks"]]
    told = {key: value for key, value in ticket.items() if key != "requirements"}
    return {**told, "checks": checks}


def _check(ticket: Json, check: Json, results: Mapping[tuple[str, bool, str], Json]) -> Json:
    content, criteria = _content(check), ticket["acceptance_criteria"]
    before, after = (results.get((ticket["id"], red, content)) for red in (True, False))
    return {
        "criterion": criteria[check["criterion"]] if check["criterion"] < len(criteria) else "",
        "check": check,
        "before": _result(before),
        "after": _result(after),
        "proven": bool(before and after and not before["passed"] and after["passed"]),
    }


def _result(item: Json | None) -> Json | None:
    if item is None:
        return None
    return {key: value for key, value in item.items() if key not in ("ticket_id", "before", "check")}


def _content(check: Json) -> str:
    """What the check does, as text. An absent value is the same as null."""
    return repr(
        sorted((key, value) for key, value in check.items() if key not in _NAMES and value is not None)
    )

"""Checks that the Builder has contested, and what the Project Manager decided of each."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

MOST_CONTESTS = 3
"""Of a ticket. Each check may be contested once."""


class Verdict(StrEnum):
    KEEP = "keep"
    MEND = "mend"
    DROP = "drop"


class Contest(BaseModel):
    """A contested check: `check` is what it was, for the sentence `criterion`; `why` are the Builder's words,
    `answer` the Project Manager's. One that is mended has the same id among the ticket's checks."""

    model_config = ConfigDict(frozen=True)

    check: dict[str, Any]
    criterion: str
    why: str
    verdict: Verdict
    answer: str


def dropped(contests: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """The criteria whose check was dropped, with the reason. Nothing proves them, also no other check: else
    whoever builds could have the strict one of two dropped."""
    found = contests or ()
    return {item["criterion"]: item["answer"] for item in found if item["verdict"] == Verdict.DROP}

"""Tickets, their order, and the checks that say whether one is done.

`Check.criterion` is an index into the ticket's `acceptance_criteria`.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, model_validator

K = TypeVar("K")


class TicketType(StrEnum):
    EPIC = "epic"
    STORY = "story"
    TASK = "task"


class TicketStatus(StrEnum):
    TODO = "todo"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


CLOSED = frozenset({TicketStatus.DONE, TicketStatus.FAILED, TicketStatus.SKIPPED})


class _Check(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=64)
    criterion: int = Field(ge=0)


def _storable(value: JsonValue) -> JsonValue:
    """The value. Raises ValueError if a number in it cannot be stored."""
    match value:
        case dict():
            for inner in value.values():
                _storable(inner)
        case list():
            for inner in value:
                _storable(inner)
        case int() if not -(2**63) <= value < 2**63:
            raise ValueError("a number is too large")
        case float() if not isfinite(value):
            raise ValueError("a number is not finite")
    return value


StorableJson = Annotated[JsonValue, AfterValidator(_storable)]


class CommandCheck(_Check):
    """A shell command run in a clean checkout; passes on `expect_exit` and, if set, when the output holds
    `expect_output`."""

    kind: Literal["command"] = "command"
    run: str = Field(min_length=1, max_length=4000)
    timeout_s: int = Field(default=60, ge=1, le=600)
    expect_exit: int = Field(default=0, ge=0, le=255)
    expect_output: str | None = None


class HttpCheck(_Check):
    """A request to the app, which is started for it on a port of its own."""

    kind: Literal["http"] = "http"
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(min_length=1, max_length=2000, pattern=r"^/")
    body: StorableJson = None
    expect_status: int = Field(default=200, ge=100, le=599)
    expect_text: str | None = None
    expect_json: StorableJson = None


class FileCheck(_Check):
    """A file of the commit exists and, if set, holds `contains`. `path` is relative to the workspace."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=1000)
    contains: str | None = None


class PageStep(BaseModel):
    """One thing a person does on a page: with what `selector` finds, or with what carries the visible text,
    label or placeholder `named`. `text` is what `fill` enters; of a `select` the option's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["fill", "click"]
    selector: str = Field(default="", max_length=300)
    named: str = Field(default="", max_length=300)
    text: str = Field(default="", max_length=2000)

    @model_validator(mode="after")
    def _aimed(self) -> "PageStep":
        if bool(self.selector) == bool(self.named):
            raise ValueError("a step has either a selector or named")
        return self


class PageCheck(_Check):
    """What a person sees in a browser: the app is started, `path` is opened, the steps are done, then the
    page shows `expect_text` and holds what `expect_selector` finds."""

    kind: Literal["page"] = "page"
    path: str = Field(min_length=1, max_length=2000, pattern=r"^/")
    steps: list[PageStep] = Field(default=[], max_length=20)
    expect_text: str = Field(default="", max_length=1000)
    expect_selector: str = Field(default="", max_length=300)

    @model_validator(mode="after")
    def _expecting(self) -> "PageCheck":
        if not (self.expect_text or self.expect_selector):
            raise ValueError("a page check expects a text or a selector")
        return self


AnyCheck = CommandCheck | HttpCheck | FileCheck | PageCheck
Check = Annotated[AnyCheck, Field(discriminator="kind")]
CHECK: TypeAdapter[AnyCheck] = TypeAdapter(Check)

Phase = Literal["red", "run", "green", "regression", "final", "bisect", "review"]
"""Why a check was run. red: before work on its ticket. run: on the commit at which its run began to build,
since it passed before its ticket. green: after the work. regression: after a later ticket. final: at the
end. bisect: on an older commit, to find the one that broke it. review: for a finding of the reviewer."""


def epic_status(children: Iterable[TicketStatus]) -> TicketStatus:
    """The status of an epic: `failed` if a child failed; `skipped` if all were skipped; `todo` if none was
    begun, or there is none; `done` if all are closed; else `in_progress`."""
    statuses = set(children)
    if TicketStatus.FAILED in statuses:
        return TicketStatus.FAILED
    if statuses == {TicketStatus.SKIPPED}:
        return TicketStatus.SKIPPED
    if statuses <= {TicketStatus.TODO, TicketStatus.SKIPPED}:
        return TicketStatus.TODO
    if statuses <= CLOSED:
        return TicketStatus.DONE
    return TicketStatus.IN_PROGRESS


def execution_order(keys: Sequence[K], dependencies: Mapping[K, Iterable[K]]) -> list[K]:
    """The keys, each after those it depends on, otherwise in the given order.

    Raises ValueError naming the tickets of a cycle.
    """
    left = list(keys)
    placed: set[K] = set()
    order: list[K] = []
    while left:
        free = next((key for key in left if placed.issuperset(dependencies.get(key, ()))), None)
        if free is None:
            raise ValueError(f"dependency cycle or unknown dependency among {sorted(map(str, left))}")
        left.remove(free)
        placed.add(free)
        order.append(free)
    return order


CLOSING_LINE: dict[TicketStatus, str] = {
    TicketStatus.IN_PROGRESS: '🔄 Started working on ticket: "{title}"',
    TicketStatus.DONE: '✅ Completed ticket: "{title}"',
    TicketStatus.FAILED: '❌ Failed ticket: "{title}"',
}
"""The system message that is stored when a ticket changes its status. Clients compare it with their own text,
so it must stay exactly like this."""

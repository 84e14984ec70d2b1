"""Tickets, their order, and the checks that say whether one is done.

`Check.criterion` is an index into the ticket's `acceptance_criteria`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from app.domain.http_steps import MAX_STEPS, HttpRequest, HttpStep, refuse_unfit
from app.domain.page_steps import PageStep, Viewport

K = TypeVar("K")

MAX_PAGE_BYTES = 24_000
"""It travels to the box in one frame, together with the program that uses the browser."""


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

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        """A text without constraints, and what JSON holds, may have half a character."""
        try:
            json.dumps(self.model_dump(mode="json"), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a character (a lone surrogate)") from None
        return self


class CommandCheck(_Check):
    """A shell command run in a clean checkout; passes on `expect_exit` and, if set, when the output holds
    `expect_output`."""

    kind: Literal["command"] = "command"
    run: str = Field(min_length=1, max_length=4000)
    timeout_s: int = Field(default=60, ge=1, le=600)
    expect_exit: int = Field(default=0, ge=0, le=255)
    expect_output: str | None = None


class HttpCheck(HttpRequest, _Check):
    """Requests to the app, which is started for them on a port of its own: the `steps`, if there are any, and
    then the one that the check itself says."""

    kind: Literal["http"] = "http"
    expect_status: int = Field(default=200, ge=100, le=599)
    steps: list[HttpStep] = Field(default=[], max_length=MAX_STEPS, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _fitting(self) -> "HttpCheck":
        if not self.steps and not self.path.startswith("/"):
            raise ValueError("path: it begins with /")
        refuse_unfit(self.requests)
        return self

    @property
    def requests(self) -> "list[HttpStep | HttpCheck]":
        """All requests, in their order."""
        return [*self.steps, self]


class FileCheck(_Check):
    """A file of the commit exists and, if set, holds `contains`. `path` is relative to the workspace."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, max_length=1000)
    contains: str | None = None


class PageCheck(_Check):
    """What a person sees in a browser: the app is started, `path` is opened in a window of the size
    `viewport`, the steps are done, then the page shows `expect_text` and not `expect_no_text`, and holds what
    `expect_selector` finds. With `expect_no_overflow` no page of it may be wider than its window, with
    `expect_clean_console` nothing on them may fail or complain."""

    kind: Literal["page"] = "page"
    path: str = Field(min_length=1, max_length=2000, pattern=r"^/")
    viewport: Viewport | None = Field(default=None, exclude_if=lambda value: value is None)
    steps: list[PageStep] = Field(default=[], max_length=20)
    expect_text: str = Field(default="", max_length=1000)
    expect_selector: str = Field(default="", max_length=300)
    expect_no_text: str = Field(default="", max_length=1000, exclude_if=lambda value: not value)
    expect_no_overflow: bool = Field(default=False, exclude_if=lambda value: not value)
    expect_clean_console: bool = Field(default=False, exclude_if=lambda value: not value)

    @model_validator(mode="after")
    def _expecting(self) -> "PageCheck":
        if not (self.expect_text or self.expect_selector):
            raise ValueError("a page check expects a text or a selector")
        if (size := len(json.dumps(self.asked))) > MAX_PAGE_BYTES:
            raise ValueError(f"a page check has at most {MAX_PAGE_BYTES} bytes as JSON, this one has {size}")
        return self

    @property
    def asked(self) -> dict[str, Any]:
        """All that the browser is told, with every field."""
        wide = {name: getattr(self, name) for name in type(self).model_fields}
        return wide | {
            "viewport": self.viewport and self.viewport.model_dump(),
            "steps": [{name: getattr(step, name) for name in PageStep.model_fields} for step in self.steps],
        }


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

"""What a client may write into a ticket, and the order of tickets.

The limits are those of the Project Manager's tickets, so that a later run can plan each of them again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from app.domain.ticket import AnyCheck, K, TicketType, execution_order
from app.domain.values import ClientText, not_blank, storable

MAX_CLIENT_TICKETS = 500
"""Tickets a client can add to one job; the service's own are never refused."""

MAX_ORDER = 100_000

Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=300),
    AfterValidator(storable),
    AfterValidator(not_blank),
]
Description = Annotated[ClientText, Field(max_length=4000)]
Criteria = Annotated[list[Line], Field(max_length=12)]
Assignee = Annotated[ClientText, Field(max_length=200)]
Others = Annotated[list[str], Field(max_length=50)]
_DEPENDENCIES = AliasChoices("dependencies", "dependency_ids")
Place = Annotated[int, Field(ge=1, le=MAX_ORDER)]


class NewTicket(BaseModel):
    """A ticket of the client. Without `order` it comes last. Without `assigned_to` it is assigned to the
    Builder, an epic to the Project Manager. `dependency_ids` is another name for `dependencies`."""

    model_config = ConfigDict(frozen=True)

    type: TicketType
    title: Line
    description: Description = ""
    acceptance_criteria: Criteria = Field(default_factory=list)
    assigned_to: Assignee = ""
    parent_id: str | None = None
    dependencies: Others = Field(default_factory=list, validation_alias=_DEPENDENCIES)
    order: Place | None = None

    checks: ClassVar[Sequence[AnyCheck]] = ()
    requirements: ClassVar[Sequence[str]] = ()
    """Both are the Project Manager's to give."""


class TicketEdit(BaseModel):
    """Absent fields stay as they are; `parent_id: null` takes the ticket out of its epic."""

    model_config = ConfigDict(frozen=True)

    type: TicketType | None = None
    title: Line | None = None
    description: Description | None = None
    acceptance_criteria: Criteria | None = None
    assigned_to: Assignee | None = None
    parent_id: str | None = None
    dependencies: Others | None = Field(default=None, validation_alias=_DEPENDENCIES)
    order: Place | None = None


def places(wanted: Mapping[K, int], dependencies: Mapping[K, Iterable[K]]) -> dict[K, int]:
    """The `order` of each ticket: all different, each greater than those of its dependencies, otherwise as
    near to the `wanted` value as possible. Of equal values the first in `wanted` comes first. Raises
    ValueError for a cycle."""
    last, found = 0, {}
    for key in execution_order(sorted(wanted, key=lambda each: wanted[each]), dependencies):
        last = found[key] = max(last + 1, wanted[key])
    return found


def moved_checks(
    checks: Iterable[Mapping[str, Any]], before: Sequence[str], after: Sequence[str]
) -> list[dict[str, Any]]:
    """The checks whose criterion is still there word for word, each with the new index of its criterion."""
    place = {text: index for index, text in enumerate(after)}
    still = [check for check in checks if check["criterion"] < len(before)]
    return [
        {**check, "criterion": place[before[check["criterion"]]]}
        for check in still
        if before[check["criterion"]] in place
    ]

"""The events that sockets get, and which change is told by which event.

Field names are sent in `camelCase`. `seq`, `jobId` and `timestamp` are added when the unit commits.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Event(BaseModel):
    """One visible change of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    kind: ClassVar[str]

    def payload(self) -> dict[str, Any]:
        return {"kind": self.kind, **self.model_dump(mode="json", by_alias=True)}


class StageUpdate(Event):
    """A message was stored. When it is deleted, it is sent again with `content: ""` and
    `metadata.deleted`."""

    kind = "stageUpdate"
    id: str
    role: Literal["user", "agent", "system"]
    sender: str
    content: str
    metadata: dict[str, Any]


class JobStatus(Event):
    """`status` or `isPaused` has changed; never sent otherwise."""

    kind = "jobStatus"
    status: str
    message: str
    is_paused: bool = False
    failure_code: str | None = None
    verification: str | None = None


class AgentDialogue(Event):
    """One turn of the executives' discussion was stored as a `Step`."""

    kind = "agentDialogue"
    id: str
    agent: str
    message: str
    order: int


class PrdReady(Event):
    kind = "prdReady"
    spec: dict[str, Any]
    prd_markdown: str


class TicketUpdate(Event):
    """A ticket was created, changed, or moved in status, attempt or assignee."""

    kind = "ticketUpdate"
    ticket_id: str
    status: str
    title: str
    type: str
    assigned_to: str
    message: str = ""
    metadata: dict[str, Any] = Field(default_factory=dict)


class TicketReset(Event):
    """A new backlog follows in the same transaction."""

    kind = "ticketReset"


STORED: tuple[type[Event], ...] = (StageUpdate, JobStatus, AgentDialogue, PrdReady, TicketUpdate, TicketReset)

TOLD_AS: dict[str, type[Event]] = {
    "message added": StageUpdate,
    "message deleted": StageUpdate,
    "status changed": JobStatus,
    "paused or resumed": JobStatus,
    "step added": AgentDialogue,
    "prd written": PrdReady,
    "backlog replaced": TicketReset,
    "ticket created": TicketUpdate,
    "ticket changed": TicketUpdate,
    "ticket deleted": TicketUpdate,
}
"""Which change is told by which event; `app.actions.changes` has the functions."""

WHISPERED = {"messageDelta": ("deltas",), "ticketLog": ("logs",), "progress": ("logs", "since")}
"""The kinds of messages that are neither stored nor numbered, each with the query parameters by which a
socket asks for it: `since` with any number, the others with 1. Their JSON begins with `kind`."""

LOG_TAIL_BYTES = 4096
"""How much of a command's output a `ticketUpdate` has in `metadata.log`."""

HINT_BYTES = 16 * 1024
"""Up to this size an event is part of its hint. A larger one is read from the log."""

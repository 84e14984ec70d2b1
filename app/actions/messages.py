"""Messages that tools add or delete over the API, apart from the chat."""

from typing import Any
from uuid import UUID

import orjson

from app.actions import changes
from app.actions.chat import count_client_message, wake_run
from app.domain.conversation import STAGE_REQUIREMENTS
from app.domain.errors import NOT_FOUND, NotFound
from app.domain.events import StageUpdate
from app.domain.job import Status
from app.domain.stages import STAGES as STAGES_OF_A_RUN
from app.resources import Resources
from app.store import messages
from app.store.tables import Message

STAGE_DURING = {
    Status.COLLECTING: STAGE_REQUIREMENTS,
    Status.QUEUED: "planning",
    Status.PLANNING: "planning",
    Status.PRD_READY: "planning",
    Status.TICKETING: "ticketing",
    Status.TICKETS_READY: "ticketing",
    Status.BUILDING: "building",
    Status.BUILD_DONE: "verifying",
    Status.FAILED: "verifying",
}
"""The `stage` of a message that has none, by the job's status."""

STAGES = (*sorted({stage.shown_as for stage in STAGES_OF_A_RUN.values()}), "continuation")


async def add_message(
    resources: Resources,
    user_id: UUID,
    job_id: UUID,
    role: changes.Role,
    sender: str,
    content: str,
    metadata: dict[str, Any],
) -> UUID:
    """Store a message, marked `metadata.via: "api"`; returns its id. A `user` message to a `collecting` job
    is answered like any chat message. Raises NotFound; Conflict `job_full`."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        count_client_message(job)
        marked = {"stage": STAGE_DURING[Status(job.status)], **metadata, "via": "api"}
        message = changes.add_message(unit, job, role, sender, content, marked)
        if role == "user" and job.status == Status.COLLECTING:
            await wake_run(unit, job)
    return message.id


async def delete_message(resources: Resources, user_id: UUID, message_id: UUID) -> None:
    """Delete a message. The event that told it stays in the log without its text. Raises NotFound."""
    async with resources.unit() as unit:
        await unit.take(await messages.job_of(unit.session, user_id, message_id), user_id)
        message = await unit.session.get(Message, message_id)
        if message is None:
            raise NotFound(NOT_FOUND)
        event = await messages.first_event(unit.session, message)
        if event is not None:
            event.payload = orjson.dumps({**orjson.loads(event.payload), "content": ""}).decode()
        told = StageUpdate(
            id=str(message.id),
            role=message.role,
            sender=message.sender,
            content="",
            metadata={**message.data, "deleted": True},
        )
        unit.tell(told, unit.moment())
        await unit.session.delete(message)

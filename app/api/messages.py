"""Routes of the chat's history."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from app.actions import messages as actions
from app.actions.messages import STAGES
from app.api.deps import Caller, Here, ItemId, JobFilter, PageAsked, SignedInRoute, json_answer, list_answer
from app.api.documented import refusals
from app.api.shapes import JOB_ID, MESSAGE_ID, WHEN, Shape, example
from app.domain.errors import NOT_FOUND, NotFound
from app.domain.values import ClientText, Prompt, Stamp, parse_id
from app.store import jobs, messages

router = APIRouter(prefix="/api/job-messages", tags=["3 · Chat history"], route_class=SignedInRoute)

MAX_METADATA_BYTES = 16 * 1024


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    if metadata.get("stage", STAGES[0]) not in STAGES:
        raise ValueError(f"its stage must be one of {', '.join(STAGES)}")
    try:
        text = orjson.dumps(metadata)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise ValueError("must be plain JSON without lone surrogates or huge numbers") from error
    if len(text) > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    if rb"\u0000" in text:
        raise ValueError("must not contain NUL")
    if orjson.loads(text) != metadata:
        raise ValueError("must not contain numbers that no double holds")
    return metadata


MESSAGE = {
    "id": MESSAGE_ID,
    "job_id": JOB_ID,
    "role": "user",
    "sender": "Ada",
    "content": "A reading list for a book club",
    "metadata": {"stage": "requirements"},
    "created_at": WHEN,
}


class Message(Shape):
    model_config = example(**MESSAGE)

    id: UUID
    job_id: UUID
    role: Literal["user", "agent", "system"]
    sender: str
    content: str
    metadata: dict[str, Any]
    created_at: Stamp


class NewMessage(BaseModel):
    """Without `sender` it is the user's name."""

    model_config = example(job_id=JOB_ID, role="user", content="Members should be able to vote.")

    job_id: str
    role: Literal["user", "agent", "system"]
    sender: Annotated[ClientText, Field(max_length=200)] = ""
    content: Prompt
    metadata: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(default_factory=dict)


@router.get("/", response_model=list[Message], responses=refusals("not_found", "invalid"))
async def list_messages(
    request: Request, here: Here, caller: Caller, job_id: JobFilter, page: PageAsked
) -> Response:
    """The messages of one job, or of all jobs of the user, oldest first."""
    async with here.reads.open() as statements:
        found = await messages.all_messages(statements, caller.user_id, job_id, page)
        if found.is_empty and job_id and not await jobs.exists(statements, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return list_answer(request, found, page)


@router.get("/{id}/", response_model=Message, responses=refusals("not_found"))
async def one_message(here: Here, caller: Caller, message_id: ItemId) -> Response:
    """One message."""
    async with here.reads.open() as statements:
        return json_answer(await messages.message(statements, caller.user_id, message_id))


@router.post(
    "/",
    status_code=201,
    response_model=Message,
    responses=refusals("bad_json", "not_found", "job_full", "invalid"),
)
async def add_message(here: Here, caller: Caller, body: NewMessage) -> Response:
    """Add a message. For tools and development: it is marked `metadata.via: "api"`. A `user` message to a job
    that is `collecting` is answered like any message of the chat."""
    job_id = _known(parse_id(body.job_id))
    message_id = await actions.add_message(
        here.resources,
        caller.user_id,
        job_id,
        body.role,
        body.sender or caller.sender,
        body.content,
        body.metadata,
    )
    async with here.reads.open() as statements:
        return json_answer(await messages.message(statements, caller.user_id, message_id), 201)


@router.delete("/{id}/", status_code=204, responses=refusals("not_found"))
async def delete_message(here: Here, caller: Caller, message_id: ItemId) -> Response:
    """Delete a message. Its text is removed from the stored event, too, and the job's sockets get a
    `stageUpdate` with `metadata.deleted`."""
    await actions.delete_message(here.resources, caller.user_id, message_id)
    return Response(status_code=204)


def _known(job_id: UUID | None) -> UUID:
    if job_id is None:
        raise NotFound(NOT_FOUND)
    return job_id

"""The frames of a socket that are not stored events: a client's messages, `error`, `synced`, `pong`."""

from typing import Any, Literal

import orjson
from pydantic import BaseModel, ValidationError

from app.domain.errors import Invalid, Refusal, field_message
from app.domain.values import Prompt


class Chat(BaseModel):
    """A message to Client Relations. Ignored when requirements are no longer collected."""

    kind: Literal["chat"]
    content: Prompt


class Ping(BaseModel):
    kind: Literal["ping"]


FRAMES: dict[str, type[Chat] | type[Ping]] = {"chat": Chat, "ping": Ping}
"""The kinds a client may send."""

PONG = '{"kind":"pong"}'


def read_frame(text: str | None) -> Chat | Ping:
    """A client's frame; `text` is None for a binary frame. Raises Invalid."""
    try:
        body = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        raise Invalid("A message must be JSON in a text frame.", code="invalid_json") from None
    if not isinstance(body, dict):
        raise Invalid("A message must be a JSON object.", code="not_an_object")
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in FRAMES:
        raise Invalid('A message\'s "kind" must be "chat" or "ping".', code="unknown_kind")
    try:
        return FRAMES[kind].model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise Invalid(
            f"This message cannot be taken: {field} {field_message(first)}.", code="invalid_message"
        ) from None


def error_frame(refusal: Refusal, **fields: Any) -> str:
    """An `error` about what this socket sent or asked for. It is not stored and has no number."""
    return _frame(kind="error", message=refusal.detail, code=refusal.code, **fields)


def synced_frame(job_id: str, last_seq: int) -> str:
    """Says that the replay is complete and live events follow."""
    return _frame(kind="synced", jobId=job_id, lastSeq=last_seq)


def _frame(**fields: Any) -> str:
    return orjson.dumps(fields).decode()

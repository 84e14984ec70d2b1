"""A request with an `Idempotency-Key` happens once, however often it is sent."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.domain.errors import Conflict, Invalid
from app.resources import Resources
from app.store import idempotency

KEPT = timedelta(hours=24)
RUNNING = timedelta(minutes=2)
"""A first request that has not ended by then died with its process; the next one is the first again."""


@dataclass(frozen=True)
class Once:
    """What makes two requests the same."""

    user_id: UUID
    method: str
    path: str
    key: str


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


async def begin(resources: Resources, once: Once, body: bytes) -> Answer | None:
    """The first answer, or None when this is the first request: then `keep` or `forget` must follow.

    Conflict `idempotency_in_progress`; Invalid `idempotency_mismatch`.
    """
    digest = hashlib.sha256(body).digest()
    where = (once.user_id, once.method, once.path, once.key)
    async with resources.unit() as unit:
        await idempotency.forget_old(unit.session, KEPT)
        if await idempotency.claim(unit.session, *where, digest, kept=KEPT, running=RUNNING):
            return None
        first = await idempotency.find(unit.session, *where)
    if first is not None and first.body_digest != digest:
        raise Invalid("This Idempotency-Key was used with another body.", code="idempotency_mismatch")
    if first is None or first.status is None or first.answer is None:
        raise Conflict("The first request with this key is still running.", code="idempotency_in_progress")
    return Answer(first.status, first.answer)


async def keep(resources: Resources, once: Once, answer: Answer) -> None:
    """This is the answer from now on."""
    async with resources.unit() as unit:
        row = await idempotency.find(unit.session, once.user_id, once.method, once.path, once.key)
        if row is not None:
            row.status, row.answer = answer.status, answer.body


async def forget(resources: Resources, once: Once) -> None:
    """The request came to nothing that is worth keeping; the next one is the first again."""
    async with resources.unit() as unit:
        row = await idempotency.find(unit.session, once.user_id, once.method, once.path, once.key)
        if row is not None:
            await unit.session.delete(row)

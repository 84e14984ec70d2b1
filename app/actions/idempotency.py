"""A request with an `Idempotency-Key` takes effect once, however often it is sent.

Its key and its answer are written by the unit that makes its change, so that neither is stored without the
other.
"""

from app.domain.errors import Conflict, Invalid
from app.resources import Resources
from app.store import idempotency
from app.store.idempotency import FirstAnswer, Once
from app.store.statements import StatementPool
from app.unit import Unit


class StillRunning(Conflict):
    """The first request is still being handled. This refusal is not stored as an answer."""


async def first_answer(reads: StatementPool, once: Once) -> FirstAnswer | None:
    """The stored answer to the first request with this key, if there is one. Raises Invalid
    `idempotency_mismatch`."""
    async with reads.open() as statements:
        first = await idempotency.find(statements, once)
    if first is not None and first.body_digest != once.body_digest:
        raise Invalid("This Idempotency-Key was used with another body.", code="idempotency_mismatch")
    return first


async def begin(unit: Unit, once: Once | None) -> None:
    """Reserve the key for this unit. Raises StillRunning if another request holds it."""
    if once is not None and not await idempotency.take(unit.session, once):
        raise StillRunning(
            "The first request with this key is still running.", code="idempotency_in_progress"
        )


async def answered(unit: Unit, once: Once | None, body: bytes) -> bytes:
    """Store `body` as the answer to this request, and return it."""
    if once is not None:
        await idempotency.keep(unit.session, once, once.status, body)
    return body


async def keep_refusal(resources: Resources, once: Once, status: int, body: bytes) -> None:
    """Store a refusal, after its unit was rolled back; not if another request has taken the key since
    then."""
    async with resources.unit() as unit:
        if await idempotency.take(unit.session, once):
            await idempotency.keep(unit.session, once, status, body)

"""A request with an `Idempotency-Key` happens once, however often it is sent.

Its key and its answer are written by the unit that makes its change: neither is ever there without the other.
"""

from app.domain.errors import Conflict, Invalid
from app.resources import Resources
from app.store import idempotency
from app.store.idempotency import FirstAnswer, Once
from app.store.statements import Statements
from app.unit import Unit


class StillRunning(Conflict):
    """The first request is being answered; this is no answer to keep."""


async def first_answer(reads: Statements, once: Once) -> FirstAnswer | None:
    """What the first of these requests was answered, if there was one. Invalid `idempotency_mismatch`."""
    async with reads.connection() as connection:
        first = await idempotency.find(connection, once)
    if first is not None and first.body_digest != once.body_digest:
        raise Invalid("This Idempotency-Key was used with another body.", code="idempotency_mismatch")
    return first


async def begin(unit: Unit, once: Once | None) -> None:
    """Let nobody else with this key do what this unit does. StillRunning."""
    if once is not None and not await idempotency.take(unit.session, once):
        raise StillRunning(
            "The first request with this key is still running.", code="idempotency_in_progress"
        )


async def answered(unit: Unit, once: Once | None, body: bytes) -> bytes:
    """`body`, which this unit keeps as the answer to its request."""
    if once is not None:
        await idempotency.keep(unit.session, once, once.status, body)
    return body


async def keep_refusal(resources: Resources, once: Once, status: int, body: bytes) -> None:
    """A refusal changed nothing, so it is kept afterwards, unless another request has begun since."""
    async with resources.unit() as unit:
        if await idempotency.take(unit.session, once):
            await idempotency.keep(unit.session, once, status, body)

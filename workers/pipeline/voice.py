"""A reply while the model writes it, sent live to sockets that ask for it (`?deltas=1`); neither stored nor
numbered.

The reply is one field of the JSON that the model writes, so it is read out of JSON that is not complete yet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import orjson
from pydantic_core import from_json
from uuid_utils.compat import uuid7

from app.domain.values import clean
from workers.context import Context

FLUSH_S = 0.05
"""Seconds between two messages."""


class Voice:
    """`id` is the id that the stored message will have. It changes when the model starts again."""

    def __init__(self, job_id: UUID, sender: str, field: str) -> None:
        self.id: UUID = uuid7()
        self._job_id = job_id
        self._sender = sender
        self._field = field
        self._json = ""
        self._told = ""
        self.more = asyncio.Event()

    def hear(self, text: str) -> None:
        """The model's answer so far."""
        self._json = text
        self.more.set()

    def delta(self) -> str | None:
        """A `messageDelta` with the new text; None if there is none."""
        said = _field_of(self._json, self._field)
        if not said.startswith(self._told):
            self.id, self._told = uuid7(), ""
        if said == self._told:
            return None
        new, self._told = said[len(self._told) :], said
        body = {
            "kind": "messageDelta",
            "jobId": str(self._job_id),
            "id": str(self.id),
            "sender": self._sender,
            "text": new,
        }
        return orjson.dumps(body).decode()


def _field_of(unfinished: str, field: str) -> str:
    start = unfinished.find("{")
    if start < 0:
        return ""
    try:
        found = from_json(unfinished[start:], allow_partial="trailing-strings")
    except ValueError:
        return ""
    value = found.get(field, "") if isinstance(found, dict) else ""
    return clean(value) if isinstance(value, str) else ""


@asynccontextmanager
async def speaking(context: Context, sender: str, field: str) -> AsyncIterator[Voice]:
    """Send what `Voice.hear` gets, until the end of the block."""
    voice = Voice(context.job_id, sender, field)
    telling = asyncio.create_task(_tell(context, voice), name=f"voice {context.job_id}")
    try:
        yield voice
    finally:
        telling.cancel()
        await asyncio.wait([telling])


async def _tell(context: Context, voice: Voice) -> None:
    while True:
        await voice.more.wait()
        voice.more.clear()
        if (delta := voice.delta()) is not None:
            await context.resources.bus.whisper(context.job_id, delta)
        await asyncio.sleep(FLUSH_S)

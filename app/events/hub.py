"""How one job's events reach all its sockets in this process: each event once, in order, none missing.

There is one pump per job that has sockets, and only the pump moves the job's cursor. Hints and the sweep do
not carry truth, they wake it: the next number is delivered at once, a higher one makes it read the log, a
lower one is dropped. A joining socket reads the log by itself until it meets the cursor and joins in that
same step, with no await between. So hints may be lost, late, doubled or swapped.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol
from uuid import UUID

import structlog

from app.domain.errors import NOT_FOUND, NotFound, Unavailable
from app.events.bus import Numbered
from app.events.log import Log

log = structlog.get_logger()


class Listener(Protocol):
    """Who is told what the bell says. Neither call blocks."""

    def heard(self, job_id: UUID, seq: int, payload: str) -> None:
        """The job has an event `seq`; `payload` is its text, or empty if it did not travel along."""

    def overheard(self, job_id: UUID, payload: str) -> None:
        """Something that is neither stored nor numbered; may be lost."""

    def look(self) -> None:
        """Hints were or may have been lost: look at every job now."""


class Hints(Protocol):
    """The subscription side of the bell: one per process."""

    async def subscribe(self, job_id: UUID) -> None:
        """Returns once it is heard, or after a short bound while the bell is away. Twice is once."""

    async def unsubscribe(self, job_id: UUID) -> None: ...

    async def run(self, listener: Listener) -> None:
        """Serve for ever, whatever happens to the bell; `look` after each (re)connect."""


class Seat(Protocol):
    """One socket, as the hub sees it."""

    async def replay(self, events: Sequence[Numbered]) -> None:
        """Send a page of the past, at the reader's own speed."""

    def joined(self, seq: int) -> None:
        """What was stored up to `seq` has been replayed; the next event comes by `hear`. Does not block."""

    def hear(self, payload: str) -> None:
        """Send this event. Does not block."""

    def overhear(self, payload: str) -> None:
        """Send this, which is no event of the log, if it is wanted. Does not block."""

    def gone(self) -> None:
        """The job was deleted. Does not block."""

    def broken(self) -> None:
        """The hub has failed, no event will come any more. Does not block."""


class Pump:
    """The only place from which a job's events go out."""

    def __init__(self, job_id: UUID, source: Log) -> None:
        self.job_id = job_id
        self.users = 0
        self._log = source
        self._cursor: int | None = None
        self._head = 0
        self._seats: dict[Seat, int] = {}
        """Who listens, and up to which number they had read when they joined."""
        self._reading: asyncio.Task[None] | None = None

    def begin(self, head: int) -> None:
        """`head`, read from the log, is where the first socket's present begins."""
        if self._cursor is None:
            self._cursor = head
        self.heard(head, "")

    def heard(self, seq: int, payload: str) -> None:
        """There is an event `seq`, and maybe this is its text."""
        if payload and self._cursor is not None and seq == self._cursor + 1:
            self._deliver(Numbered(seq, payload))
        else:
            self._head = max(self._head, seq)
            self._catch_up()

    def overheard(self, payload: str) -> None:
        for seat in self._seats:
            seat.overhear(payload)

    async def join(self, seat: Seat, after: int, head: int) -> None:
        """Replay to `seat` what is stored after `after`, at least up to `head`, then let it listen."""
        assert self._cursor is not None
        while after < max(head, self._cursor):
            page = await self._log.after(self.job_id, after)
            if not page:
                seat.gone()
                return
            await seat.replay(page)
            after = page[-1].seq
        self._seats[seat] = after
        seat.joined(after)

    def leave(self, seat: Seat) -> None:
        self._seats.pop(seat, None)

    def gone(self) -> None:
        for seat in self._seats:
            seat.gone()

    def broken(self) -> None:
        for seat in self._seats:
            seat.broken()

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def _catch_up(self) -> None:
        behind = self._cursor is not None and self._cursor < self._head
        if behind and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(), name=f"pump {self.job_id}")
            self._reading.add_done_callback(self._read_ended)

    async def _read(self) -> None:
        """Read and deliver pages until the cursor is at the highest number heard of."""
        try:
            while self._cursor is not None and self._cursor < self._head:
                page = await self._log.after(self.job_id, self._cursor)
                if not page:
                    return
                for event in page:
                    if event.seq > self._cursor:
                        self._deliver(event)
        except Unavailable:
            log.info("pump.waits", job=str(self.job_id))

    def _read_ended(self, reading: asyncio.Task[None]) -> None:
        if not reading.cancelled() and (error := reading.exception()) is not None:
            log.error("pump.broken", job=str(self.job_id), exc_info=error)
            self.broken()

    def _deliver(self, event: Numbered) -> None:
        self._cursor = event.seq
        for seat, joined_at in self._seats.items():
            if event.seq > joined_at:
                seat.hear(event.payload)


class Hub:
    """All pumps of this process. `run` must be running while sockets are served."""

    def __init__(self, source: Log, hints: Hints, sweep_s: float) -> None:
        self._log = source
        self._hints = hints
        self._sweep_s = sweep_s
        self._pumps: dict[UUID, Pump] = {}
        self._look = asyncio.Event()
        self._running = False

    @asynccontextmanager
    async def follow(self, job_id: UUID) -> AsyncIterator[tuple[Pump, int]]:
        """The job's pump, listened for, and the log's last number now. NotFound, Unavailable."""
        if not self._running:
            raise Unavailable("Events cannot be delivered right now. Try again in a moment.")
        pump = self._pumps.setdefault(job_id, Pump(job_id, self._log))
        pump.users += 1
        try:
            await self._hints.subscribe(job_id)
            head = (await self._log.heads([job_id])).get(job_id)
            if head is None:
                raise NotFound(NOT_FOUND)
            pump.begin(head)
            yield pump, head
        finally:
            pump.users -= 1
            if not pump.users:
                del self._pumps[job_id]
                await pump.stop()
                if job_id not in self._pumps:
                    await self._hints.unsubscribe(job_id)

    async def probe(self) -> str:
        """How it is, in a few words. Unavailable."""
        if not self._running:
            raise Unavailable("The hub has failed and begins anew in a moment.")
        return "delivered"

    async def run(self) -> None:
        """Listen and sweep until cancelled."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hints.run(self), name="hints")
                group.create_task(self._sweeps(), name="hub sweep")
        finally:
            self._running = False
            for pump in self._pumps.values():
                pump.broken()

    def heard(self, job_id: UUID, seq: int, payload: str) -> None:
        if (pump := self._pumps.get(job_id)) is not None:
            pump.heard(seq, payload)

    def overheard(self, job_id: UUID, payload: str) -> None:
        if (pump := self._pumps.get(job_id)) is not None:
            pump.overheard(payload)

    def look(self) -> None:
        self._look.set()

    async def _sweeps(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_s):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._sweep()
            except Unavailable:
                log.info("hub.waits")

    async def _sweep(self) -> None:
        """One question for all jobs: how far is each?"""
        jobs = tuple(self._pumps)
        if not jobs:
            return
        heads = await self._log.heads(jobs)
        for pump in [self._pumps[job_id] for job_id in jobs if job_id in self._pumps]:
            if pump.job_id in heads:
                pump.heard(heads[pump.job_id], "")
            else:
                pump.gone()

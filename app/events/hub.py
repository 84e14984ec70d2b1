"""How the events of a job reach all its sockets in this process: each event once, in order, none missing.

Each job that has sockets has one `Pump`, which knows the number of the last event it has delivered (its
cursor). A hint with the next number is delivered at once. A hint with a higher number makes the pump read the
log. A hint with a lower number is dropped. A regular sweep asks the database for the last number of each job,
so hints may be lost, late, repeated or out of order.

A new socket first reads the log by itself until it has caught up with the pump's cursor. It is added to the
pump without an `await` in between, so that it misses nothing and gets nothing twice.
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
    """Who gets the hints: the hub. No method blocks."""

    def heard(self, job_id: UUID, seq: int, payload: str) -> None:
        """The job has an event `seq`. `payload` is its JSON, or empty if the hint did not include it."""

    def overheard(self, job_id: UUID, payload: str) -> None:
        """A message that is neither stored nor numbered."""

    def look(self) -> None:
        """Hints may have been lost: look at every job now."""


class Hints(Protocol):
    """The subscriptions to hints: one object per process."""

    async def subscribe(self, job_id: UUID) -> None:
        """Returns when the subscription is active, or after a short time if it cannot be. Idempotent."""

    async def unsubscribe(self, job_id: UUID) -> None: ...

    async def run(self, listener: Listener) -> None:
        """Pass hints on, for ever, across lost connections. Calls `look` after each connect."""


class Seat(Protocol):
    """A socket, as the hub sees it."""

    async def replay(self, events: Sequence[Numbered]) -> None:
        """Send a page of stored events; waits for a slow reader."""

    def joined(self, seq: int) -> None:
        """All events up to `seq` have been replayed; the next ones come by `hear`. Does not block."""

    def hear(self, payload: str) -> None:
        """Send this event. Does not block."""

    def overhear(self, payload: str) -> None:
        """Send this, which is not an event of the log, if the client asked for such messages. Does not
        block."""

    def gone(self) -> None:
        """The job was deleted. Does not block."""

    def broken(self) -> None:
        """The hub has failed and will deliver no more events. Does not block."""


class Pump:
    """Delivers the events of one job to its sockets."""

    def __init__(self, job_id: UUID, source: Log) -> None:
        self.job_id = job_id
        self.users = 0
        self._log = source
        self._cursor: int | None = None
        self._head = 0
        self._seats: dict[Seat, int] = {}
        """The sockets, each with the number up to which it had read when it joined."""
        self._reading: asyncio.Task[None] | None = None

    def begin(self, head: int) -> None:
        """Set the cursor for the first socket. `head` is the log's last number."""
        if self._cursor is None:
            self._cursor = head
        self.heard(head, "")

    def heard(self, seq: int, payload: str) -> None:
        """There is an event `seq`; `payload` is its JSON, or empty."""
        if payload and self._cursor is not None and seq == self._cursor + 1:
            self._deliver(Numbered(seq, payload))
        else:
            self._head = max(self._head, seq)
            self._catch_up()

    def overheard(self, payload: str) -> None:
        for seat in self._seats:
            seat.overhear(payload)

    async def join(self, seat: Seat, after: int, head: int) -> None:
        """Replay to `seat` all events after `after`, at least up to `head`, then add it to the listeners."""
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
        """Read and deliver pages until the cursor is at the highest known number."""
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
    """All pumps of this process. Sockets can be served only while `run` is running."""

    def __init__(self, source: Log, hints: Hints, sweep_s: float) -> None:
        self._log = source
        self._hints = hints
        self._sweep_s = sweep_s
        self._pumps: dict[UUID, Pump] = {}
        self._look = asyncio.Event()
        self._running = False

    @asynccontextmanager
    async def follow(self, job_id: UUID) -> AsyncIterator[tuple[Pump, int]]:
        """The job's pump, subscribed to hints, and the number of its last event. Raises NotFound,
        Unavailable."""
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
        """Whether it works, in a few words. Raises Unavailable."""
        if not self._running:
            raise Unavailable("The hub has failed and is started again in a moment.")
        return "delivered"

    async def run(self) -> None:
        """Receive hints and sweep until cancelled."""
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
        """Ask for the last number of all jobs in one query."""
        jobs = tuple(self._pumps)
        if not jobs:
            return
        heads = await self._log.heads(jobs)
        for pump in [self._pumps[job_id] for job_id in jobs if job_id in self._pumps]:
            if pump.job_id in heads:
                pump.heard(heads[pump.job_id], "")
            else:
                pump.gone()

"""The worker's desk: it claims runs, plays them in slots, renews their leases, and learns which were paused.

Every `sweep_s` a worker with a free slot looks by itself for runs that can be claimed, also those of a worker
that died. So nothing depends on Redis: a lost message delays a run by one sweep at most.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog

from app import metrics
from app.actions.going_live import settle
from app.actions.removals import remove_boxes, remove_left_over, remove_orphans
from app.actions.sleeping import copy_sleeping
from app.domain.budget import NO_LIMITS, Limits
from app.domain.copies import COPY_BYTES
from app.domain.errors import Unavailable
from app.resources import Resources
from app.runtime.workspace import RuntimeProblem
from app.store import runs
from app.store.runs import Claim
from workers.context import Context
from workers.llm.lineup import Lineup
from workers.pipeline.runner import play
from workers.profiles.served import Served
from workers.turns import Turn, new_turns

log = structlog.get_logger()

RENEWALS_A_LEASE = 3
CHATS = 4
"""How many runs that talk with their client a worker plays beside its slots. They mostly wait for a model."""
TIDY_S = 60.0
TIDY_AGAIN_S = 10.0
"""Seconds between two searches for boxes without a job, and between the first two. A box is removed when two
searches in a row have found it."""


@dataclass(frozen=True)
class Terms:
    """`slots`: how many runs are played at the same time; `chats`: how many beside them that talk with their
    client. `lease_s`: for how many seconds a claim is valid without renewal. `sweep_s`: seconds between two
    looks for work. `limits`, `ticket_attempts` and `copy_bytes`: see `Context`."""

    slots: int
    lease_s: float
    sweep_s: float
    limits: Limits = NO_LIMITS
    ticket_attempts: int = 6
    copy_bytes: int = COPY_BYTES
    chats: int = CHATS


@dataclass
class _Held:
    claim: Claim
    context: Context
    task: asyncio.Task[None]


class Desk:
    """Run `work()` until it is cancelled, then call `close()`. `offer()` may be called at any time."""

    def __init__(self, resources: Resources, models: Lineup, name: str, terms: Terms) -> None:
        self._resources = resources
        self._models = models
        self._name = name
        self._terms = terms
        self._served = Served()
        self._turns = new_turns()
        self._held: dict[UUID, _Held] = {}
        self._claiming = asyncio.Lock()
        self._look = asyncio.Event()
        self._open = True

    async def work(self) -> None:
        """Claim runs, renew leases and remove boxes, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            group.create_task(self._renew())
            group.create_task(self._remove())
            group.create_task(self._tidy())

    async def offer(self, run_id: UUID) -> None:
        """Claim this run, if there is a free slot and the run can be claimed."""
        if run_id not in self._held:
            await self._claim(run_id)

    async def close(self) -> None:
        """Claim nothing more, stop all runs and release them, so that other workers can continue them at
        once."""
        self._open = False
        held = list(self._held.values())
        for item in held:
            item.task.cancel()
        await asyncio.gather(*(item.task for item in held), return_exceptions=True)
        await self._served.close()
        for item in held:
            try:
                async with self._resources.statements() as statements:
                    await runs.release(statements, item.claim.run_id, item.claim.fence)
            except Unavailable:
                log.warning("run.not_released", run=str(item.claim.run_id))

    async def _claim(self, run_id: UUID | None = None) -> None:
        """Claim this run, or as many as there are free slots: those for chats, and those for all else."""
        async with self._claiming:  # one claim at a time, so that no slot is given twice
            for chats, most in ((True, self._terms.chats), (False, self._terms.slots)):
                free = most - sum(item.claim.chats is chats for item in self._held.values())
                if self._open and free > 0:
                    await self._claim_kind(run_id, chats, free)

    async def _claim_kind(self, run_id: UUID | None, chats: bool, most: int) -> None:
        """At most all chats but one are one user's, so that another's first word waits for none of them."""
        each = max(self._terms.chats - 1, 1) if chats else runs.NO_LIMIT
        held = set(self._held)
        try:
            async with self._resources.statements() as statements:
                lease_s = self._terms.lease_s
                claims = await runs.claim(
                    statements, self._name, lease_s, run_id, most=most, held=held, chats=chats, each=each
                )
        except Unavailable:
            return
        for claim in claims:
            self._start(claim)

    def _start(self, claim: Claim) -> None:
        context = Context(
            self._resources,
            self._models,
            claim.job_id,
            claim.run_id,
            claim.fence,
            self._terms.limits,
            self._terms.ticket_attempts,
            self._terms.copy_bytes,
            self._served,
            Turn(self._turns),
        )
        task = asyncio.create_task(play(context, claim), name=f"run {claim.run_id}")
        self._held[claim.run_id] = _Held(claim, context, task)
        metrics.runs_claimed.inc()
        task.add_done_callback(lambda _: self._finished(claim))

    def _finished(self, claim: Claim) -> None:
        held = self._held.get(claim.run_id)
        if held is not None and held.claim is claim:
            del self._held[claim.run_id]
        self._look.set()

    async def _sweep(self) -> None:
        """Fill free slots: every `sweep_s`, and at once when one becomes free."""
        while True:
            self._look.clear()
            await self._claim()
            try:
                async with asyncio.timeout(self._terms.sweep_s):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _give_way(self) -> None:
        """Where runs of a user wait who holds fewer, let one run go at its next step, of the user who holds
        most. Whoever is next in line gets its slot."""
        if sum(not item.claim.chats for item in self._held.values()) < self._terms.slots:
            return
        if any(item.context.gives_way for item in self._held.values()):
            return
        try:
            async with self._resources.statements() as statements:
                more = await runs.crowded_out(statements, set(self._held))
        except Unavailable:
            return
        if more and (item := self._held.get(max(more, key=more.__getitem__))):
            item.context.gives_way = True

    async def _remove(self) -> None:
        """Remove boxes of deleted jobs, and bring apps back that were left in the middle of a change. A
        separate task, because an engine may need minutes for it."""
        while True:
            try:
                await remove_boxes(self._resources)
                await settle(self._resources)
            except Unavailable:
                log.info("removals.held_up")
            await asyncio.sleep(self._terms.sweep_s)

    async def _tidy(self) -> None:
        """Remove boxes without a job, copy the data of sleeping ones and freeze idle ones: soon after the
        start, then every `TIDY_S`."""
        suspects: frozenset[UUID] = frozenset()
        wait = TIDY_AGAIN_S
        while True:
            try:
                suspects = await remove_orphans(self._resources, suspects)
                await remove_left_over(self._resources)
                await copy_sleeping(self._resources, self._terms.copy_bytes)
                await self._resources.runtime.rest()
            except (Unavailable, RuntimeProblem) as problem:
                log.info("tidy.held_up", problem=str(problem))
            await asyncio.sleep(wait)
            wait = TIDY_S

    async def _renew(self) -> None:
        """Renew all leases in one statement. A run that could not be renewed belongs to another worker."""
        while True:
            await asyncio.sleep(self._terms.lease_s / RENEWALS_A_LEASE)
            held = dict(self._held)
            if not held:
                continue
            pairs = [(item.claim.run_id, item.claim.fence) for item in held.values()]
            try:
                async with self._resources.statements() as statements:
                    ours = await runs.renew(statements, pairs, self._terms.lease_s)
            except Unavailable:
                log.warning("leases.not_renewed", runs=len(pairs))
                continue
            await self._give_way()
            for run_id, item in held.items():
                if run_id not in ours:
                    metrics.leases_lost.inc()
                    item.task.cancel()
                elif ours[run_id]:
                    item.context.pause.set()

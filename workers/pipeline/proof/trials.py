"""Runs what judges commits in trials: boxes of their own, each of which is emptied before each check.

So no process, port or file of the bench, of the client's app or of another check is there, and nothing that a
check leaves behind meets the next one, nor one that runs beside it. A commit travels from the bench as a
pack; git's hashes say that it is the commit.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence, Set
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from app.domain.ticket import AnyCheck
from app.runtime.workspace import CheckResult, Commit, Hidden, NotClean, RuntimeProblem, Workspace
from app.runtime.worlds import CHECKING, World
from workers.context import Context
from workers.pipeline.aloud import aloud

KEPT_BYTES = 16 * 1024 * 1024
"""A pack of at most so many bytes is kept for the next check of the same commit."""

LONG_MS = 5000
SHARE = 0.1
"""A check that failed after `LONG_MS`, for all that is known for want of time, and had another beside it for
more than this share of it, is run again alone."""


@dataclass(frozen=True)
class ToRun:
    """A check to run on a commit of the bench. If it is a ticket's, its clients hear its output."""

    check: AnyCheck
    commit: Commit
    ticket_id: UUID | None = None


Take = Callable[[int, CheckResult], Awaitable[None]]
"""Is given the place of a check that was run, and its result."""


async def check_apart(
    context: Context,
    bench: Workspace,
    commit: Commit,
    check: AnyCheck,
    hear: Callable[[str], None] | None = None,
) -> CheckResult:
    """Run a check on a commit of the bench in an empty trial. Raises what `Runtime.attach` and
    `Workspace.check` raise."""
    async with _trial(context) as (trial, kept):
        await _bring(context, bench, trial, commit, kept)
        return await trial.check(commit.sha, check, hear)


async def check_all(
    context: Context,
    bench: Workspace,
    wanted: Sequence[ToRun],
    take: Take,
    until: float | None = None,
) -> None:
    """Run checks side by side, in their order, each in an empty trial. After `until` (of `monotonic`) none is
    begun. Raises what `check_apart` and `take` raise; then the others are given up."""
    waiting, company, again = deque(enumerate(wanted)), _Company(), list[tuple[int, ToRun]]()

    async def run(item: ToRun) -> CheckResult:
        async with aloud(context, item.ticket_id) as hear:
            return await check_apart(context, bench, item.commit, item.check, hear)

    async def work() -> None:
        while waiting and (until is None or monotonic() < until):
            place, item = waiting.popleft()
            with company.beside(place):
                result = await run(item)
            if _wants_time(item.check, result) and company.share(place) > SHARE:
                again.append((place, item))
            else:
                await take(place, result)

    await together([work() for _ in range(min(len(CHECKING), len(wanted)))])
    for place, item in again:
        if until is None or monotonic() < until:
            await take(place, await run(item))


def _wants_time(check: AnyCheck, result: CheckResult) -> bool:
    """Whether the check may have failed only because it was slow: it was ended, or nothing answered."""
    cut = not result.passed and result.exit_code is None
    return cut and (check.kind == "command" or result.duration_ms >= LONG_MS)


@dataclass
class _Company:
    """For how many seconds each check has run alone, and for how many beside another."""

    running: set[int] = field(default_factory=set)
    spent: dict[int, list[float]] = field(default_factory=dict)
    since: float = 0.0

    @contextmanager
    def beside(self, place: int) -> Iterator[None]:
        """The check at `place` runs within the block."""
        self._count()
        self.running.add(place)
        self.spent[place] = [0.0, 0.0]
        try:
            yield
        finally:
            self._count()
            self.running.discard(place)

    def share(self, place: int) -> float:
        """The part of its time for which it had another beside it."""
        alone, beside = self.spent[place]
        return beside / (alone + beside)

    def _count(self) -> None:
        now = monotonic()
        for place in self.running:
            self.spent[place][len(self.running) > 1] += now - self.since
        self.since = now


async def together(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Await all; when one fails the others are cancelled, and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def hidden_apart(context: Context, bench: Workspace, base: Commit, commit: Commit) -> Sequence[Hidden]:
    """What the commit, with what its install step makes, hides (see `Workspace.hidden`), looked at in a
    trial."""
    async with _trial(context) as (trial, kept):
        if commit.sha in kept:
            manifest = await trial.manifest(commit.sha)
            if manifest is None or not manifest.install:
                return ()
        await trial.learn(_pack(context, bench, commit))
        return await trial.hidden(base, commit, installed=True)


async def _bring(
    context: Context, bench: Workspace, trial: Workspace, commit: Commit, kept: Set[str]
) -> None:
    """Bring a commit into an emptied trial. One that its guest can keep is learned only once, and then nobody
    meets a repository; one that is too large is learned for each check, with its history."""
    if commit.sha in kept:
        return
    await trial.learn(_pack(context, bench, commit))
    if commit.sha not in context.large and commit.sha not in await trial.wipe(keep=commit.sha):
        context.large.add(commit.sha)
        await trial.learn(_pack(context, bench, commit))


@asynccontextmanager
async def _trial(context: Context) -> AsyncIterator[tuple[Workspace, frozenset[str]]]:
    """A trial that nobody else uses meanwhile, emptied, and the commits that it need not learn. One that
    cannot be emptied is thrown away."""
    slot = await context.slots.get()
    try:
        trial = context.trials.get(slot) or await _attach(context, slot)
        try:
            kept = await trial.wipe()  # it may have been used by a worker before us
        except NotClean:
            del context.trials[slot]
            await trial.close()
            await context.resources.runtime.discard(context.job_id, World.TRIAL, slot)
            trial, kept = await _attach(context, slot), frozenset()
        yield trial, kept
    except RuntimeProblem:
        if (lost := context.trials.pop(slot, None)) is not None:
            await lost.close()
        raise
    finally:
        context.slots.put_nowait(slot)


async def _attach(context: Context, slot: int) -> Workspace:
    trial = await context.resources.runtime.attach(
        context.job_id, world=World.TRIAL, slot=slot, fence=context.fence, create=True
    )
    context.trials[slot] = trial
    return trial


async def _pack(context: Context, bench: Workspace, commit: Commit) -> AsyncIterator[bytes]:
    async with context.packing:
        if context.packed[0] == commit.sha:
            yield context.packed[1]
            return
        whole = bytearray()
        async for piece in bench.pack(commit.sha, None):
            if len(whole) <= KEPT_BYTES:
                whole += piece
            yield piece
        if len(whole) <= KEPT_BYTES:
            context.packed = (commit.sha, bytes(whole))

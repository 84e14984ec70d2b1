"""Runs checks side by side, or uses their stored results, and stores what was seen.

A check that failed on a tree and passes on the same one later counts as passed only if it passes `AGAIN`
times more there. It is named flaky then, on its ticket and in its evidence.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from app import metrics
from app.actions import changes
from app.domain.proof import BEFORE
from app.domain.ticket import AnyCheck, Phase
from app.domain.values import clean
from app.runtime.workspace import CheckResult, Commit, RuntimeProblem, Workspace
from app.store import rows
from app.store.rows import Seen
from app.store.tables import Evidence
from app.store.tickets import keep_screenshot
from workers.context import Change, Context, Paused
from workers.pipeline.proof.runners import judged
from workers.pipeline.proof.trials import ToRun, check_all
from workers.steps import digest

AGAIN = 3
STORE_S = 1.0
"""Results are stored together, as soon as the first of them has waited for so many seconds."""

FLAKY = "Flaky: on the same files this check has failed before; since then it has passed {} times in a row."
TOLD = "The check {} is flaky: it has failed and passed on the same files."
NOT_AGAIN = "Flaky: on the same files this check has just passed, and failed when it was run again."


@dataclass(frozen=True)
class Wanted:
    """A check to run on `commit`, and the ticket to which its evidence belongs, if to one."""

    check: AnyCheck
    commit: Commit
    phase: Phase
    ticket_id: UUID | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What its evidence is found by."""
        return check_digest(self.check), self.commit.tree


def check_digest(check: AnyCheck) -> str:
    """A digest of what the check does, without its id and criterion. With the tree it is the key of
    evidence."""
    content = check.model_dump(mode="json", exclude={"id", "criterion"})
    return digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode())


async def observe(
    context: Context, workspace: Workspace, wanted: Sequence[Wanted], until: float | None = None
) -> list[CheckResult | None]:
    """Run checks, or use their stored results on the same trees; what is wanted twice is run once. Either way
    each result is stored for its ticket, phase and run, each outcome once, unless the check could not be run
    here. None for those that were not begun before `until` (of `monotonic`)."""
    seen = await _seen(context, wanted)
    book = _Book(context, wanted, seen)
    places = defaultdict[tuple[str, str], list[int]](list)
    for place, item in enumerate(wanted):
        if (stands := _standing(seen[item.key], item.phase)) is not None:
            book.note(place, CheckResult(stands.passed, stands.exit_code, stands.output_tail, 0))
        else:
            places[item.key].append(place)
    try:
        if places:
            await context.unless_paused(_run(context, workspace, book, list(places.values()), until))
    except (RuntimeProblem, Paused):
        await book.store()
        raise
    await book.store()
    return book.results


async def _run(
    context: Context, workspace: Workspace, book: "_Book", places: Sequence[list[int]], until: float | None
) -> None:
    """Run the checks at `places` of the book, which are the same at each item."""
    firsts = [book.wanted[same[0]] for same in places]

    async def take(place: int, result: CheckResult) -> None:
        item = firsts[place]
        result = judged(item.check, result)
        if result.passed and book.failed_before(item):
            result = await _again(context, workspace, item, result)
            book.flaky.update(places[place])
        for same in places[place]:
            book.note(same, result)
        await book.store_in_time()

    to_run = [ToRun(item.check, item.commit, item.ticket_id) for item in firsts]
    await check_all(context, workspace, to_run, take, until)


async def _again(context: Context, workspace: Workspace, item: Wanted, result: CheckResult) -> CheckResult:
    """Run a check `AGAIN` times more, one after the other: its result, which says that it is flaky."""
    more = list[CheckResult]()

    async def take(_: int, next_result: CheckResult) -> None:
        more.append(judged(item.check, next_result))

    for _ in range(AGAIN):
        await check_all(context, workspace, [ToRun(item.check, item.commit)], take)
        if not more[-1].passed:
            return replace(more[-1], output_tail=f"{more[-1].output_tail}\n{NOT_AGAIN}".strip())
    return replace(result, output_tail=f"{result.output_tail}\n{FLAKY.format(1 + AGAIN)}".strip())


async def _seen(context: Context, wanted: Sequence[Wanted]) -> dict[tuple[str, str], list[Seen]]:
    keys = [item.key for item in wanted]
    found: dict[tuple[str, str], list[Seen]] = {key: [] for key in keys}
    if keys:
        async with context.glance() as session:
            checks, trees = {check for check, _ in keys}, {tree for _, tree in keys}
            for item in await rows.evidence_of(session, context.job_id, checks, trees):
                if (key := (item.check_digest, item.tree)) in found:
                    found[key].append(item)
    return found


def _standing(seen: Sequence[Seen], phase: Phase) -> Seen | None:
    """The stored result to use. A failure may be the fault of the box (it was full, or about to die), and no
    retry could ever mend that. So a failure is used only as the state before the work."""
    passed = next((item for item in seen if item.passed), None)
    return passed or next((item for item in seen if phase in BEFORE), None)


@dataclass
class _Book:
    """The results of one `observe`, and which of them are not stored yet."""

    context: Context
    wanted: Sequence[Wanted]
    seen: dict[tuple[str, str], list[Seen]]
    results: list[CheckResult | None] = field(init=False)
    pending: list[int] = field(default_factory=list)
    flaky: set[int] = field(default_factory=set)
    since: float = field(default_factory=monotonic)
    storing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.wanted)

    def note(self, place: int, result: CheckResult) -> None:
        item = self.wanted[place]
        self.results[place] = result
        if result.checked:
            self.context.progress.checked(passed=result.passed)
        known = {(each.ticket_id, each.phase, each.passed, each.run_id) for each in self.seen[item.key]}
        if result.checked and (item.ticket_id, item.phase, result.passed, self.context.run_id) not in known:
            if not self.pending:
                self.since = monotonic()
            self.pending.append(place)

    def failed_before(self, item: Wanted) -> bool:
        return any(not each.passed for each in self.seen[item.key])

    async def store_in_time(self) -> None:
        if self.pending and monotonic() - self.since > STORE_S:
            await self.store()

    async def store(self) -> None:
        """Store what is pending, in one unit. Raises LeaseLost."""
        async with self.storing:
            if not (places := list(self.pending)):
                return
            async with self.context.change() as change:
                for place in places:
                    change.session.add(evidence := self._evidence(place))
                    if (result := self.results[place]) and result.picture:
                        await keep_screenshot(change.session, evidence, result.picture)
                for place in self.flaky.intersection(places):
                    await self._name_flaky(change, place)
                change.advance()
            del self.pending[: len(places)]
        for place in places:
            check, result = self.wanted[place].check, self.results[place]
            metrics.checks.labels(check.kind, str(result is not None and result.passed).lower()).inc()

    async def _name_flaky(self, change: Change, place: int) -> None:
        item = self.wanted[place]
        if item.ticket_id is not None:
            ticket = await rows.ticket(change.session, item.ticket_id)
            changes.tell_ticket(change.unit, ticket, TOLD.format(item.check.id), flaky=item.check.id)

    def _evidence(self, place: int) -> Evidence:
        item, result = self.wanted[place], self.results[place]
        assert result is not None, "only results are pending"
        key, tree = item.key
        return Evidence(
            id=uuid7(),
            job_id=self.context.job_id,
            run_id=self.context.run_id,
            ticket_id=item.ticket_id,
            phase=item.phase,
            criterion=item.check.criterion,
            check=item.check.model_dump(mode="json", exclude_none=True),
            check_digest=key,
            commit=item.commit.sha,
            tree=tree,
            exit_code=result.exit_code,
            passed=result.passed,
            output_tail=clean(result.output_tail),
            duration_ms=result.duration_ms,
        )

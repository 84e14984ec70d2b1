"""One attempt at a ticket and its judgement: what it starts from, the attempt, the commit, and the checks on
it.

The ticket's checks also run on the commit before the ticket ("red before green"). One that passes there
already runs on the commit at which the run began to build: an earlier ticket may have done more than was
asked. If it passes there, too, it proves nothing (decision 36). After the attempt everything is committed
first, then checked on that commit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from pydantic import TypeAdapter

from app.domain.conversation import Agent
from app.domain.events import LOG_TAIL_BYTES
from app.domain.ticket import AnyCheck
from app.runtime.workspace import Commit, TreeMissing, Workspace
from app.store import rows, run_steps
from app.store.tables import Ticket
from workers.agents.facts import BuildingFacts, Closed, Failure
from workers.context import Change, Context
from workers.pipeline import spec as specs
from workers.pipeline.box import begun, mend_history
from workers.pipeline.proof.brief import without_repeats
from workers.pipeline.proof.evidence import (
    Asked,
    Finding,
    checks_of,
    checks_of_profile,
    closed_by_checks,
    run_checks,
)
from workers.pipeline.proof.regression import after_ticket, broken_by, look_on
from workers.pipeline.proof.trials import hidden_apart
from workers.pipeline.ticket import overview
from workers.pipeline.ticket.attempt import GaveUp, attempt
from workers.pipeline.ticket.death import noted_death
from workers.pipeline.ticket.ladder import Rung, Standing, signature
from workers.profiles.catalogue import find
from workers.steps import Result, note, once

REGRESSION_S = 60
"""Seconds for the checks of earlier tickets after each ticket. At the end all of them run, without a
limit."""

TRIED_CHARS = 12_000
"""The most characters of the diff of what was tried."""

LATELY = 5
"""How many of the last closed tickets the Builder is shown with their summaries."""

_BEGIN = "begin"
_COMMIT: TypeAdapter[Commit] = TypeAdapter(Commit)
_STANDING: TypeAdapter[Standing] = TypeAdapter(Standing)


@dataclass(frozen=True)
class Tried:
    """The result of an attempt. `failures` is empty if the ticket may be closed; `summary` is what the
    Builder wrote; `diff` is the change since `base`; `shown` goes into the `metadata` of the `ticketUpdate`;
    `broken` is the first check that failed, None if something else was wrong; `later` are checks of earlier
    tickets that have not run yet."""

    standing: Standing
    base: Commit
    commit: Commit
    summary: str
    failures: list[Failure]
    diff: str
    shown: dict[str, Any]
    broken: AnyCheck | None = None
    later: Sequence[Asked] = ()


async def try_ticket(context: Context, workspace: Workspace, ticket: Ticket) -> Tried:
    """Make the ticket's current attempt, and judge it by the checks, however it ended. Raises
    ModelUnavailable, BudgetSpent, BoxDied."""
    base = await _base(context, workspace, ticket)
    if death := await noted_death(context, ticket):
        failure = Failure(reason=death, criterion="", check="", output="")
        standing = await _standing(context, ticket, [])
        return Tried(standing, base, base, "", [failure], "", {"log": death})
    red = await _check_before(context, workspace, ticket, base)
    standing = await _standing(context, ticket, red)
    shown, tree = await _start(context, workspace, ticket, standing, base)
    summary, failures = "", []
    try:
        summary = await attempt(
            context,
            workspace,
            ticket.id,
            ticket.attempts,
            shown,
            tree,
            strong=standing.rung is Rung.STRONG,
        )
    # With a box that was lost in the middle only this attempt is lost.
    except (GaveUp, TreeMissing) as reason:
        failures = [Failure(reason=str(reason), criterion="", check="", output="")]
    ticket = await _after_contests(context, workspace, ticket, base)
    await mend_history(context, workspace)
    commit = await workspace.commit(f"{ticket.title}\n\n{summary}".strip(), Agent.BUILDER)
    hidden = await context.unless_paused(workspace.hidden(base, commit, installed=False))
    judged = _Judged([]) if hidden else await _judge(context, workspace, ticket, base, commit)
    if not hidden and not judged.failed:
        hidden = await context.unless_paused(hidden_apart(context, workspace, base, commit))
    if not hidden and not judged.failed:
        return Tried(standing, base, commit, summary, [], "", _shown(commit, []), later=judged.later)
    failures += [Failure(reason=item.sentence, criterion="", check="", output="") for item in hidden]
    failures += [finding.as_failure(checks_of(ticket)) for finding in judged.failed]
    diff = await workspace.diff(base.tree, commit.tree, TRIED_CHARS)
    told = {"log": "\n".join(item.sentence for item in hidden)} if hidden else {}
    broken = judged.failed[0].check if judged.failed else None
    shown_now = _shown(commit, judged.failed) | told
    return Tried(standing, base, commit, summary, failures, diff, shown_now, broken)


def look_on_aside(context: Context, workspace: Workspace, tried: Tried) -> None:
    """After the ticket was closed: have the checks run that can wait, while the model is awaited."""
    if tried.later:
        work = look_on(context, workspace, tried.later)
        context.aside = asyncio.create_task(work, name=f"regression {context.job_id}")


async def take_back(workspace: Workspace, ticket: Ticket, base: Commit) -> None:
    """Undo the changes of a failed ticket with a new commit; its attempts stay in the history."""
    await workspace.restore(base.tree)
    await workspace.commit(f"Take back: {ticket.title}", Agent.BUILDER)


async def note_standing(change: Change, ticket: Ticket, attempt: int, standing: Standing) -> None:
    """Store what the ticket's attempt of that number will be given."""
    await note(change, _why(ticket, attempt), _STANDING.dump_json(standing).decode())


async def note_summary(change: Change, ticket: Ticket, summary: str) -> None:
    """Store what the Builder wrote about a closed ticket, for later tickets."""
    await note(change, f"summary.{ticket.id}", summary)


def _why(ticket: Ticket, attempt: int) -> str:
    return f"build.{ticket.id}.{attempt}.why"


def _key(ticket: Ticket, what: str) -> str:
    return f"build.{ticket.id}.{ticket.attempts}.{what}"


async def _base(context: Context, workspace: Workspace, ticket: Ticket) -> Commit:
    """The commit before the ticket: the head when the ticket was begun in this run or retry."""
    run = await context.run()

    async def make() -> Result:
        return Result(_COMMIT.dump_json(await begun(workspace)).decode())

    key = f"base.{ticket.id}.{run.retries}"
    return _COMMIT.validate_json(await once(context, key, "tool", "base", make))


async def begin_of_run(context: Context, workspace: Workspace) -> Commit:
    """The commit at which this run began to build: in a first build the scaffold. Stored once per run, also
    if it is retried."""

    async def make() -> Result:
        return Result(_COMMIT.dump_json(await begun(workspace)).decode())

    return _COMMIT.validate_json(await once(context, _BEGIN, "tool", "begin", make))


async def _check_before(
    context: Context, workspace: Workspace, ticket: Ticket, base: Commit
) -> list[Finding]:
    """How the ticket's checks come out on `base`, the commit before it."""
    asked = [Asked(ticket, check, base, "red") for check in checks_of(ticket)]
    with context.progress.checking(len(asked), ticket.id):
        red = await run_checks(context, workspace, asked)
    begin = await begin_of_run(context, workspace)
    early = [Asked(ticket, finding.check, begin, "run") for finding in red if finding.passed]
    await run_checks(context, workspace, early)
    return red


async def _after_contests(context: Context, workspace: Workspace, ticket: Ticket, base: Commit) -> Ticket:
    """The ticket with its checks as they are after the attempt, in which some may have been mended or
    dropped. What is new of them runs on the commit before the ticket, too."""
    async with context.glance() as session:
        now = await rows.ticket(session, ticket.id)
    if now.checks != ticket.checks:
        await _check_before(context, workspace, now, base)
    return now


async def _standing(context: Context, ticket: Ticket, red: Sequence[Finding]) -> Standing:
    """What the failure before has decided. For the first attempt: only how the checks fail before any
    work."""
    kept = await context.step(_why(ticket, ticket.attempts))
    if kept is not None:
        return _STANDING.validate_json(kept.payload)
    before = [finding.as_failure(checks_of(ticket)) for finding in red if finding.failed]
    return Standing(begun=ticket.attempts, seen=[signature(before)])


@dataclass(frozen=True)
class _Start:
    facts: BuildingFacts
    tree: str


_START: TypeAdapter[_Start] = TypeAdapter(_Start)


async def _start(
    context: Context, workspace: Workspace, ticket: Ticket, standing: Standing, base: Commit
) -> tuple[BuildingFacts, str]:
    """What this attempt is shown and the tree at which it starts. Stored, so that another worker continues
    with the same."""

    async def make() -> Result:
        tree = base.tree if standing.fresh else (await begun(workspace)).tree
        await workspace.restore(tree)
        start = _Start(await _facts(context, workspace, ticket, standing), tree)
        return Result(_START.dump_json(start).decode())

    start = _START.validate_json(await once(context, _key(ticket, "start"), "tool", "start", make))
    return start.facts, start.tree


async def _facts(context: Context, workspace: Workspace, ticket: Ticket, standing: Standing) -> BuildingFacts:
    spec = await specs.load(context)
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    return BuildingFacts(
        title=spec.prd.title if spec.prd else "",
        summary=spec.summary,
        profile=spec.profile,
        stack=find(spec.profile).stack(installs=context.resources.runtime.network != "none"),
        decision=spec.decision.decision if spec.decision else "",
        out_of_scope=spec.prd.out_of_scope if spec.prd else [],
        contract=spec.contract,
        requirements=spec.promised(),
        finished=[done.title for done in closed_by_checks(tickets)],
        lately=await _lately(context, closed_by_checks(tickets)[-LATELY:]),
        ticket=ticket.title,
        serves=ticket.requirements,
        description=ticket.description,
        acceptance_criteria=ticket.acceptance_criteria,
        checks=without_repeats(checks_of(ticket)),
        files=await overview.files(workspace),
        outline=await overview.outline(workspace),
        attempt=ticket.attempts,
        fresh=standing.fresh,
        failures=standing.failures,
        tried=standing.tried if standing.rung >= Rung.DIFF else "",
    )


async def _lately(context: Context, closed: Sequence[Ticket]) -> list[Closed]:
    async with context.look() as session:
        said = [
            await run_steps.find(session, ticket.run_id or context.run_id, f"summary.{ticket.id}")
            for ticket in closed
        ]
    return [
        Closed(title=ticket.title, summary=words.payload if words else "")
        for ticket, words in zip(closed, said, strict=True)
    ]


@dataclass(frozen=True)
class _Judged:
    """The findings that fail the ticket, and the checks of earlier tickets that can wait."""

    failed: list[Finding]
    later: Sequence[Asked] = ()


async def _judge(
    context: Context, workspace: Workspace, ticket: Ticket, base: Commit, commit: Commit
) -> _Judged:
    """Run the ticket's checks; if all pass, the profile's; then those of earlier tickets that it may have
    touched, until REGRESSION_S is over."""
    await context.drop_aside()
    asked = [Asked(ticket, check, commit, "green") for check in checks_of(ticket)]
    with context.progress.checking(len(asked), ticket.id):
        findings = await run_checks(context, workspace, asked)
        if not any(finding.failed for finding in findings):
            of_profile = await checks_of_profile(context, ticket, commit, "green")
            findings += await run_checks(context, workspace, of_profile)
    if failed := [finding for finding in findings if finding.failed]:
        return _Judged(failed)
    async with context.glance() as session:
        earlier = closed_by_checks(await rows.tickets(session, context.job_id))
    now, later = await after_ticket(context, workspace, earlier, base, commit)
    with context.progress.checking(len(now), ticket.id):
        seen = await run_checks(context, workspace, now, monotonic() + REGRESSION_S)
    failed = await broken_by(context, workspace, [each for each in seen if each.failed], earlier, base)
    return _Judged(failed, later)


def _shown(commit: Commit, failed: list[Finding]) -> dict[str, Any]:
    if not failed:
        return {"commit": commit.sha}
    log = failed[0].output.encode()[-LOG_TAIL_BYTES:].decode("utf-8", "ignore")
    shown: dict[str, Any] = {"commit": commit.sha, "log": log}
    return shown if failed[0].exit_code is None else {**shown, "exitCode": failed[0].exit_code}

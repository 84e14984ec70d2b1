"""One try at a ticket, judged: what it starts from, the attempt itself, the commit, and the checks on it.

Red before green: the ticket's checks run on the commit before it, so that one which passes already is known
to prove nothing. Then commit first, check afterwards, on that commit.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any

from pydantic import TypeAdapter

from app.domain.conversation import Agent
from app.domain.events import LOG_TAIL_BYTES
from app.runtime.workspace import Commit, TreeMissing, Workspace
from app.store import rows
from app.store.tables import Ticket
from workers.agents.facts import BuildingFacts, Failure
from workers.context import Change, Context
from workers.pipeline import spec as specs
from workers.pipeline import toolbox
from workers.pipeline.attempt import GaveUp, attempt
from workers.pipeline.evidence import Finding, checks_of, closed_by_checks, run_check
from workers.steps import Result, note, once

MAX_ATTEMPTS = 3
"""After this many attempts a ticket has failed; a retry by the client gives it one more. The last one is made
by the model for hard cases."""

REGRESSION_S = 60
"""Time for earlier tickets' checks after each ticket; at the end all of them run, however long it takes."""

_COMMIT: TypeAdapter[Commit] = TypeAdapter(Commit)
_FAILURES: TypeAdapter[list[Failure]] = TypeAdapter(list[Failure])


@dataclass(frozen=True)
class Tried:
    """`failures` is empty when the ticket may be closed; `shown` goes into the ticket's `metadata`."""

    base: Commit
    commit: Commit
    failures: list[Failure]
    shown: dict[str, Any]


async def try_ticket(context: Context, workspace: Workspace, ticket: Ticket) -> Tried:
    """The ticket's current attempt. Raises ModelUnavailable, BoxDied."""
    base = await _base(context, workspace, ticket)
    for check in checks_of(ticket):
        await run_check(context, workspace, ticket, check, base, "red")
    shown, start = await _start(context, workspace, ticket)
    try:
        await attempt(
            context,
            workspace,
            ticket.id,
            ticket.attempts,
            shown,
            start.tree,
            strong=ticket.attempts >= MAX_ATTEMPTS,
        )
    # A box that was lost in the middle takes the attempt with it, and nothing before it.
    except (GaveUp, TreeMissing) as reason:
        failure = Failure(reason=str(reason), criterion="", check="", output="")
        return Tried(base, start, [failure], {"log": str(reason)})
    commit = await workspace.commit(ticket.title, Agent.BUILDER)
    findings = await _check(context, workspace, ticket, commit)
    failed = [finding for finding in findings if not finding.passed]
    return Tried(base, commit, [finding.as_failure() for finding in failed], _shown(commit, failed))


async def take_back(workspace: Workspace, ticket: Ticket, base: Commit) -> None:
    """Leave nothing of a failed ticket to those that follow; its tries stay in the history."""
    await workspace.restore(base.tree)
    await workspace.commit(f"Take back: {ticket.title}", Agent.BUILDER)


async def note_failures(change: Change, ticket: Ticket, failures: list[Failure]) -> None:
    """Keep for the ticket's current attempt why the one before failed."""
    await note(change, _key(ticket, "why"), _FAILURES.dump_json(failures).decode())


def _key(ticket: Ticket, what: str) -> str:
    return f"build.{ticket.id}.{ticket.attempts}.{what}"


async def _base(context: Context, workspace: Workspace, ticket: Ticket) -> Commit:
    """The commit before the ticket: the head when it was first begun since the last retry."""
    async with context.look() as session:
        _, run = await context.mine(session)

    async def make() -> Result:
        return Result(_COMMIT.dump_json(await _head(workspace)).decode())

    key = f"base.{ticket.id}.{run.retries}"
    return _COMMIT.validate_json(await once(context, key, "tool", "base", make))


async def _head(workspace: Workspace) -> Commit:
    return await workspace.head() or await workspace.commit("Begin", Agent.BUILDER)


@dataclass(frozen=True)
class _Start:
    facts: BuildingFacts
    commit: Commit


_START: TypeAdapter[_Start] = TypeAdapter(_Start)


async def _start(context: Context, workspace: Workspace, ticket: Ticket) -> tuple[BuildingFacts, Commit]:
    """What this attempt is shown and where it starts: fixed once, so that a successor sees the same."""

    async def make() -> Result:
        commit = await _head(workspace)
        await workspace.restore(commit.tree)
        start = _Start(await _facts(context, workspace, ticket), commit)
        return Result(_START.dump_json(start).decode())

    start = _START.validate_json(await once(context, _key(ticket, "start"), "tool", "start", make))
    return start.facts, start.commit


async def _facts(context: Context, workspace: Workspace, ticket: Ticket) -> BuildingFacts:
    spec = await specs.load(context)
    async with context.look() as session:
        tickets = await rows.tickets(session, context.job_id)
        why = await rows.run_step(session, context.run_id, _key(ticket, "why"))
    mine = set(ticket.requirements)
    return BuildingFacts(
        title=spec.prd.title if spec.prd else "",
        summary=spec.summary,
        requirements=[item for item in spec.requirement_list if item.id in mine],
        all_requirements=spec.requirement_list,
        decision=spec.decision.decision if spec.decision else "",
        profile=spec.profile,
        ticket=ticket.title,
        description=ticket.description,
        acceptance_criteria=ticket.acceptance_criteria,
        checks=checks_of(ticket),
        attempt=ticket.attempts,
        failures=_FAILURES.validate_json(why.payload) if why else [],
        files=await toolbox.files(workspace),
        finished=[done.title for done in closed_by_checks(tickets)],
    )


async def _check(context: Context, workspace: Workspace, ticket: Ticket, commit: Commit) -> list[Finding]:
    """The ticket's checks; when all pass, earlier tickets' too, as far as the time goes."""
    findings = [
        await run_check(context, workspace, ticket, check, commit, "green") for check in checks_of(ticket)
    ]
    if not all(finding.passed for finding in findings):
        return findings
    async with context.look() as session:
        earlier = closed_by_checks(await rows.tickets(session, context.job_id))
    deadline = monotonic() + REGRESSION_S
    for other in earlier:
        for check in checks_of(other):
            if monotonic() > deadline:
                return findings
            findings.append(await run_check(context, workspace, other, check, commit, "regression"))
    return findings


def _shown(commit: Commit, failed: list[Finding]) -> dict[str, Any]:
    if not failed:
        return {"commit": commit.sha}
    log = failed[0].output.encode()[-LOG_TAIL_BYTES:].decode("utf-8", "ignore")
    shown: dict[str, Any] = {"commit": commit.sha, "log": log}
    return shown if failed[0].exit_code is None else {**shown, "exitCode": failed[0].exit_code}

"""Tests that closed a ticket count as they were then: nobody closes a later one by weakening them.

Where a commit has changed or deleted test files that a closed ticket left, or what decides which tests are
run and what their failure means, the ticket's commands are run on that commit with those files as they were.
What the client changed between two runs is the client's word and counts as it is when building begins.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from app.domain.ticket import AnyCheck, CommandCheck
from app.runtime.workspace import Commit, Workspace
from app.store import rows
from app.store.tables import Ticket
from workers.context import Context
from workers.pipeline.box import begun
from workers.pipeline.evidence import closed_by_checks
from workers.steps import Result, once


@dataclass(frozen=True)
class Found:
    """What the run found when it began to build, or was begun again: the commit, and the closed tickets."""

    commit: Commit
    closed: list[str]


_FOUND: TypeAdapter[Found] = TypeAdapter(Found)


async def found(context: Context, workspace: Workspace) -> Found:
    """Looked at once, before the first ticket."""
    run = await context.run()
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)

    async def make() -> Result:
        head = await begun(workspace)
        closed = [str(ticket.id) for ticket in closed_by_checks(tickets)]
        return Result(_FOUND.dump_json(Found(head, closed)).decode())

    return _FOUND.validate_json(await once(context, f"found.{run.retries}", "tool", "found", make))


async def judged_on(
    context: Context, workspace: Workspace, ticket: Ticket, check: AnyCheck, commit: Commit
) -> Commit:
    """What a check of a closed ticket runs on to judge `commit`: mostly just that."""
    if not isinstance(check, CommandCheck):
        return commit
    before = await found(context, workspace)
    kept = before.commit.sha if str(ticket.id) in before.closed else ticket.commit
    if kept is None or kept == commit.sha:
        return commit
    return await workspace.with_tests(commit, kept)

"""The tests that closed a ticket stay as they were then, so that no later ticket can be closed by weakening
them.

If a commit has changed or deleted test files of a closed ticket, or files that decide which tests run and
what their failure means, the ticket's command checks run on that commit with these files put back. Files that
the client has changed between two runs count as they are when building begins. See decisions 13 and 20.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from app.domain.ticket import AnyCheck, CommandCheck
from app.runtime.workspace import Commit, Workspace
from app.store import rows
from app.store.tables import Ticket
from workers.context import Context
from workers.pipeline.box import begun
from workers.pipeline.proof.evidence import closed_by_checks
from workers.steps import Result, once


@dataclass(frozen=True)
class Found:
    """The commit and the closed tickets at the time when the run, or its retry, began to build."""

    commit: Commit
    closed: list[str]


_FOUND: TypeAdapter[Found] = TypeAdapter(Found)


async def found(context: Context, workspace: Workspace) -> Found:
    """Read once per run and retry, before the first ticket, and stored."""
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
    """The commit on which a check of a closed ticket is run to judge `commit`: mostly `commit` itself."""
    if not isinstance(check, CommandCheck):
        return commit
    before = await found(context, workspace)
    kept = before.commit.sha if str(ticket.id) in before.closed else ticket.commit
    if kept is None or kept == commit.sha:
        return commit
    if (commit.sha, kept) not in context.tested:
        context.tested[commit.sha, kept] = await workspace.with_tests(commit, kept)
    return context.tested[commit.sha, kept]

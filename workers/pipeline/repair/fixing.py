"""Tickets that the service opens itself for what was found broken at the end. The run goes back to
building."""

from collections.abc import Sequence

import orjson
from uuid_utils.compat import uuid7

from app.actions import changes
from app.actions.planning import Asks, Planned, write_ticket
from app.domain.ticket import TicketType
from app.store import rows
from workers.context import Change, Context
from workers.pipeline.enter import go_back
from workers.steps import note


async def opened_before(context: Context, key: str) -> bool:
    """Whether tickets were opened under `key` in this run."""
    return await context.step(key) is not None


async def open_fixes(change: Change, key: str, drafts: Sequence[Asks], why: str = "") -> None:
    """Add the tickets at the end of the backlog and go back to building, if there are any; clients are told
    `why`. The tickets' ids are stored as a JSON list in step `key`."""
    found_in = change.stage
    order = max((t.order for t in await rows.tickets(change.session, change.job.id)), default=0)
    opened: list[str] = []
    for number, draft in enumerate(drafts, order + 1):
        planned = Planned(
            id=uuid7(),
            type=TicketType.TASK,
            run_id=change.run.id,
            parent_id=None,
            dependencies=[],
            order=number,
            assigned_to="",
            skip_reason="",
            of_client=False,
        )
        ticket = write_ticket(change.unit, change.job, draft, planned)
        await change.session.flush()
        changes.tell_ticket(change.unit, ticket, event="created")
        opened.append(str(ticket.id))
    await note(change, key, orjson.dumps(opened).decode())
    if drafts:
        go_back(change)
    else:
        change.advance()
    if why:
        change.describe(why, found_in)

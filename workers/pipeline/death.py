"""A box that dies or fails in the middle of an attempt: once may be an accident, twice ends the attempt."""

from app.runtime.workspace import RuntimeProblem
from app.store.tables import Ticket
from workers.context import Context
from workers.steps import note

FATAL_CLAIMS = 2
"""A box that failed counts as one claim without a stored step, so this is the second in the same place."""


async def note_death(context: Context, ticket: Ticket, problem: RuntimeProblem) -> None:
    """The box failed in the ticket's current attempt, which goes on in a sound one; unless that failed before
    another step was stored."""
    async with context.change() as change:
        if change.run.claims >= FATAL_CLAIMS:
            change.advance()
            await note(change, _key(ticket), f"Twice the container did not survive this attempt: {problem}.")


async def noted_death(context: Context, ticket: Ticket) -> str:
    """What ended the ticket's current attempt; "" when it may go on."""
    noted = await context.step(_key(ticket))
    return "" if noted is None else noted.payload


def _key(ticket: Ticket) -> str:
    return f"death.{ticket.id}.{ticket.attempts}"

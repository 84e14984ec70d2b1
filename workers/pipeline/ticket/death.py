"""What happens when a box dies in the middle of an attempt: after the first time the attempt goes on in a new
box, the second time ends it."""

from app.runtime.workspace import RuntimeProblem
from app.store.tables import Ticket
from workers.context import Context
from workers.steps import note

FATAL_CLAIMS = 2
"""Each death counts as one claim without a stored step, so two mean that it died twice at the same step."""


async def note_death(context: Context, ticket: Ticket, problem: RuntimeProblem) -> None:
    """Note that the box died in the ticket's current attempt, if it is the second time without a stored step
    in between."""
    async with context.change() as change:
        if change.run.claims >= FATAL_CLAIMS:
            change.advance()
            await note(
                change,
                _key(ticket, change.run.retries),
                f"Twice the container did not survive this attempt: {problem}.",
            )


async def noted_death(context: Context, ticket: Ticket) -> str:
    """The message that ends the ticket's current attempt; "" if the attempt may go on."""
    run = await context.run()
    noted = await context.step(_key(ticket, run.retries))
    return "" if noted is None else noted.payload


def _key(ticket: Ticket, retries: int) -> str:
    """A retry has a box of its own: what ended an attempt before it does not end it again."""
    return f"death.{ticket.id}.{ticket.attempts}.{retries}"

"""Accounts for a run's requests to models: the most that one can cost is reserved in the database before it
is sent, and replaced by the bill afterwards."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from app import metrics
from app.domain.budget import Use
from app.store import spending
from app.store.spending import Bill, Purpose, Refused
from app.unit import LeaseLost
from workers.context import Context
from workers.llm.calling import Called
from workers.llm.model import Model

REFUSALS = {
    "job": "The job's budget is used up: the next step may use up to {worst}, more than what is left. Raise "
    "it with POST …/budget/ or, if it is the most that is allowed here, have JOB_TOKEN_BUDGET or "
    "JOB_COST_BUDGET_USD raised; then retry. Everything so far is kept.",
    "day": "Your budget for today is used up: the next step may use up to {worst}, more than what is left. "
    "Retry tomorrow (UTC); everything so far is kept.",
    "any day": "The next step may use up to {worst}, more than your budget for a whole day. Have "
    "USER_DAY_TOKEN_BUDGET or USER_DAY_COST_BUDGET_USD raised, then retry; everything so far is kept.",
    "price": "There is a budget in USD, but nobody knows what {model} costs, so it cannot be kept. Set "
    "MODEL_INPUT_PRICE_USD and MODEL_OUTPUT_PRICE_USD, or take the budget in USD away; then retry.",
}


def _told(worst: Use) -> str:
    cost = f" and {worst.cost_usd:.2f} USD" if worst.cost_usd else ""
    return f"{worst.total:,} tokens{cost}"


class BudgetSpent(Exception):
    """The budget does not allow the next request. The message says which budget, and what to do."""


@dataclass
class RunLedger:
    """`workers.llm.calling.Ledger` for one step of a run."""

    context: Context
    step: str
    agent: str
    ticket_id: UUID | None = None
    _model: str = field(default="", init=False)

    async def reserve(self, model: Model, worst: Use) -> int:
        """Raises BudgetSpent, LeaseLost, Unavailable."""
        context = self.context
        self._model = model.name
        purpose = Purpose(
            context.job_id, context.run_id, context.fence, self.step, self.agent, self.ticket_id
        )
        async with context.resources.statements() as statements:
            made = await spending.reserve(statements, purpose, model.name, worst, context.limits)
        if not isinstance(made, Refused):
            return made
        if made.limit == "lease":
            raise LeaseLost
        limit = "any day" if made.limit == "day" and not context.limits.day_holds(worst) else made.limit
        raise BudgetSpent(REFUSALS[limit].format(model=model.name, worst=_told(worst)))

    async def fail(self, attempt: int, outcome: str, used: Use | None, latency_ms: int) -> None:
        metrics.model_calls.labels(self._model, outcome).inc()
        async with self.context.resources.statements() as statements:
            await spending.settle(statements, attempt, outcome, used, latency_ms)

    async def rest(self, seconds: float) -> None:
        """Raises Paused."""
        await self.context.unless_paused(asyncio.sleep(seconds))

    def bill(self, called: Called) -> Bill:
        """The bill, to be stored together with the answer."""
        answer, used = called.answer, called.used
        metrics.model_calls.labels(answer.model, answer.finish_reason).inc()
        metrics.model_seconds.labels(answer.model).observe(called.latency_ms / 1000)
        metrics.model_tokens.labels(answer.model, "in").inc(used.input_tokens if used else 0)
        metrics.model_tokens.labels(answer.model, "out").inc(used.output_tokens if used else 0)
        return Bill(called.attempt, used, called.latency_ms)

"""The budget of a job, as far as a client can change it."""

from uuid import UUID

from app.domain.budget import Limits
from app.domain.errors import Forbidden
from app.resources import Resources


async def set_budget(
    resources: Resources,
    owner: UUID,
    job_id: UUID,
    token_budget: int | None,
    cost_budget_usd: float | None,
    limits: Limits,
) -> None:
    """Set the job's own limits, whatever its status; None leaves a limit as it is. The service's `limits` are
    the most that they may be. Raises NotFound; Forbidden `over_limit`."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, owner)
        _require_at_most(token_budget, limits.job_tokens, "{:,} tokens", "JOB_TOKEN_BUDGET")
        _require_at_most(cost_budget_usd, limits.job_usd, "{:,.2f} USD", "JOB_COST_BUDGET_USD")
        if token_budget is not None:
            job.token_budget = token_budget
        if cost_budget_usd is not None:
            job.cost_budget_usd = cost_budget_usd


def _require_at_most(wanted: float | None, most: float | None, words: str, setting: str) -> None:
    if wanted is not None and most is not None and wanted > most:
        raise Forbidden(
            f"A job may use at most {words.format(most)} here. The operator can raise {setting}.",
            code="over_limit",
        )

"""The budget of a job, as far as a client can change it."""

from uuid import UUID

from app.resources import Resources


async def set_budget(
    resources: Resources,
    owner: UUID,
    job_id: UUID,
    token_budget: int | None,
    cost_budget_usd: float | None,
) -> None:
    """Set the job's own limits, whatever its status; None leaves a limit as it is. Raises NotFound."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, owner)
        if token_budget is not None:
            job.token_budget = token_budget
        if cost_budget_usd is not None:
            job.cost_budget_usd = cost_budget_usd

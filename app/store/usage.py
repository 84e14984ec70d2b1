"""What a job has used of language models, by role and by ticket, as clients see it. The query includes the
owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Float, ScalarSelect, bindparam, func, select

from app.domain.budget import Limits
from app.store.answers import as_text, made_of, one
from app.store.statements import Statement, Statements
from app.store.tables import ANSWERED, Job, ModelAttempt, Ticket


def _sums() -> dict[str, ColumnElement[Any]]:
    return {
        "attempts": func.count(),
        "model_calls": func.count().filter(ModelAttempt.outcome == ANSWERED),
        "input_tokens": func.sum(ModelAttempt.input_tokens),
        "cached_tokens": func.sum(ModelAttempt.cached_tokens),
        "cache_write_tokens": func.sum(ModelAttempt.cache_write_tokens),
        "output_tokens": func.sum(ModelAttempt.output_tokens),
        "cost_usd": func.sum(ModelAttempt.cost_usd),
    }


def _by_role() -> ScalarSelect[Any]:
    rows = (
        select(ModelAttempt.agent, ModelAttempt.model, *(v.label(k) for k, v in _sums().items()))
        .where(ModelAttempt.job_id == Job.id)
        .group_by(ModelAttempt.agent, ModelAttempt.model)
        .order_by(ModelAttempt.agent, ModelAttempt.model)
        .correlate(Job)
        .subquery()
    )
    shown = made_of(role=rows.c.agent, model=rows.c.model, **{name: rows.c[name] for name in _sums()})
    return select(func.coalesce(func.json_agg(shown), func.json_build_array())).scalar_subquery()


def _by_ticket() -> ScalarSelect[Any]:
    rows = (
        select(ModelAttempt.ticket_id, Ticket.title, Ticket.order, *(v.label(k) for k, v in _sums().items()))
        .join(Ticket, Ticket.id == ModelAttempt.ticket_id)
        .where(ModelAttempt.job_id == Job.id)
        .group_by(ModelAttempt.ticket_id, Ticket.title, Ticket.order)
        .order_by(Ticket.order)
        .correlate(Job)
        .subquery()
    )
    shown = made_of(
        ticket_id=rows.c.ticket_id, title=rows.c.title, **{name: rows.c[name] for name in _sums()}
    )
    return select(func.coalesce(func.json_agg(shown), func.json_build_array())).scalar_subquery()


_USAGE = Statement(
    select(
        as_text(
            made_of(
                input_tokens=Job.input_tokens,
                output_tokens=Job.output_tokens,
                cost_usd=Job.cost_usd,
                model_calls=Job.model_calls,
                reserved_tokens=func.greatest(Job.committed_tokens - Job.input_tokens - Job.output_tokens, 0),
                token_budget=func.least(Job.token_budget, bindparam("job_tokens", type_=BigInteger)),
                cost_budget_usd=func.least(Job.cost_budget_usd, bindparam("job_usd", type_=Float)),
                by_role=_by_role(),
                by_ticket=_by_ticket(),
            )
        )
    ).where(Job.id == bindparam("job_id"), Job.user_id == bindparam("owner"))
)


async def usage(statements: Statements, owner: UUID, job_id: UUID, limits: Limits) -> bytes | None:
    """A `UsageDetail`. `limits` are the service's, for a job that has no limits of its own."""
    budgets = {"job_tokens": limits.job_tokens, "job_usd": limits.job_usd}
    return await one(statements, _USAGE, job_id=job_id, owner=owner, **budgets)

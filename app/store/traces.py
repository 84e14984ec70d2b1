"""Each requirement of a job with its tickets, checks and results, as clients see it. The query includes the
owner."""

from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ScalarSelect, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from app.domain import trace
from app.domain.proof import BEFORE
from app.domain.ticket import TicketType
from app.store.answers import array_of, as_text, made_of, one, stamp
from app.store.statements import Statement, Statements
from app.store.tables import App, Evidence, Job, Run, Ticket

_TICKET = made_of(
    id=Ticket.id,
    type=Ticket.type,
    title=Ticket.title,
    status=Ticket.status,
    reason=Ticket.reason,
    run=Run.number,
    attempts=Ticket.attempts,
    commit=Ticket.commit,
    acceptance_criteria=Ticket.acceptance_criteria,
    checks=Ticket.checks,
    contests=Ticket.contests,
    requirements=Ticket.requirements,
)


def _requirements() -> ScalarSelect[Any]:
    return select(App.spec["requirement_list"]).where(App.job_id == Job.id).scalar_subquery()


def _tickets() -> ScalarSelect[Any]:
    query = select(array_of(_TICKET, [Ticket.order])).outerjoin(Run, Run.id == Ticket.run_id)
    return query.where(Ticket.job_id == Job.id, Ticket.type != TicketType.EPIC).scalar_subquery()


def _evidence() -> ScalarSelect[Any]:
    """For each check of a ticket the last result since the work, and the one before it that says most: of
    the run that planned the ticket, a failure, or else the pass on the commit at which the run began.
    Results of a bisection do not count."""
    before = or_(*(Evidence.phase == phase for phase in sorted(BEFORE))).label("before")
    says_most = (
        before & (Evidence.run_id != func.coalesce(Ticket.run_id, Evidence.run_id)),
        before & Evidence.passed,
        before & Evidence.passed & (Evidence.phase == "red"),
    )
    each = (Evidence.ticket_id, before, Evidence.check_digest)
    last = (
        select(Evidence, before, Run.number.label("run"))
        .join(Run, Run.id == Evidence.run_id)
        .join(Ticket, Ticket.id == Evidence.ticket_id)
        .where(Evidence.job_id == Job.id, Evidence.phase != "bisect")
        .ext(distinct_on(*each))
        .order_by(*each, *says_most, Evidence.created_at.desc(), Evidence.id.desc())
        .correlate(Job)
        .subquery()
        .c
    )
    shown = made_of(
        ticket_id=last.ticket_id,
        before=last.before,
        check=last.check,
        words=last.check_digest,
        evidence_id=last.id,
        run=last.run,
        phase=last.phase,
        passed=last.passed,
        commit=last.commit,
        created_at=stamp(last.created_at),
    )
    return select(func.coalesce(func.json_agg(shown), func.json_build_array())).scalar_subquery()


def _outcomes() -> ScalarSelect[Any]:
    """The fields of `proof.CheckOutcome`, for all evidence of the job's tickets."""
    fields = (Evidence.ticket_id, Evidence.check_digest, Run.number, Evidence.phase, Evidence.passed)
    each = (
        select(func.json_build_array(*fields).label("fields"))
        .join(Run, Run.id == Evidence.run_id)
        .where(Evidence.job_id == Job.id, Evidence.ticket_id.is_not(None))
        .correlate(Job)
        .subquery()
    )
    return select(func.coalesce(func.json_agg(each.c.fields), func.json_build_array())).scalar_subquery()


_FACTS = Statement(
    select(
        as_text(
            made_of(
                requirements=_requirements(),
                tickets=_tickets(),
                evidence=_evidence(),
                outcomes=_outcomes(),
            )
        )
    ).where(Job.id == bindparam("job_id"), Job.user_id == bindparam("owner"))
)


async def traced(statements: Statements, owner: UUID, job_id: UUID) -> list[dict[str, Any]] | None:
    """`[TracedRequirement]`; None when there is no such job. One statement, so one snapshot."""
    found = await one(statements, _FACTS, job_id=job_id, owner=owner)
    if found is None:
        return None
    facts = orjson.loads(found)
    return trace.rows(facts["requirements"] or [], facts["tickets"], facts["evidence"], facts["outcomes"])

"""A ticket is made in one place, which forgets none of its columns."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions.planning import Asked, Planned, write_ticket
from app.domain.ticket import FileCheck, TicketType
from app.store.tables import Ticket
from tests.helpers.house import House

COLUMNS = [column.name for column in Ticket.__table__.columns]
OF_THE_DATABASE = {"created_at", "updated_at"}


DRAFT = Asked(
    title="Lend a book",
    description="To a member.",
    acceptance_criteria=["It is lent."],
    checks=[FileCheck(id="c1", criterion=0, path="lent")],
    requirements=["R1"],
)
OTHER = Asked("Lend two books", "", ["They are lent.", "They come back."], [])


def planned(**changes: Any) -> Planned:
    values: dict[str, Any] = {
        "id": uuid7(),
        "type": TicketType.STORY,
        "run_id": None,
        "parent_id": None,
        "dependencies": ["T2"],
        "order": 7,
        "assigned_to": "Ada",
        "skip_reason": "",
        "of_client": True,
    }
    return Planned(**(values | changes))


def contest(verdict: str, criterion: str) -> dict[str, Any]:
    return {"check": {}, "criterion": criterion, "why": "", "verdict": verdict, "answer": "Nobody sees it."}


async def written(house: House, draft: Asked, plan: Planned, known: Ticket | None = None) -> Ticket:
    job_id = known.job_id if known else await house.create()
    async with house.resources.unit() as unit:
        job = await unit.take(job_id, house.user_id)
        if known is not None:
            known = await unit.session.get_one(Ticket, known.id)
        return write_ticket(unit, job, draft, plan, known)


def columns(ticket: Ticket) -> dict[str, Any]:
    return {name: getattr(ticket, name) for name in COLUMNS}


async def read(house: House, ticket_id: UUID) -> dict[str, Any]:
    async with house.resources.look() as session:
        return columns(await session.get_one(Ticket, ticket_id))


async def test_no_column_of_a_ticket_is_forgotten(house: House) -> None:
    """A column that `write_ticket` does not name is left to the database, or null."""
    plan = planned()
    async with house.resources.unit() as unit:
        job = await unit.take(await house.create(), house.user_id)
        ticket = write_ticket(unit, job, DRAFT, plan)
        named = {name for name in vars(ticket) if not name.startswith("_")}
    assert named == set(COLUMNS) - OF_THE_DATABASE
    row = await read(house, plan.id)
    checks = [check.model_dump(exclude_none=True) for check in DRAFT.checks]
    told = asdict(DRAFT) | asdict(plan) | {"checks": checks}
    del told["skip_reason"]
    assert {name: row[name] for name in told} == told


async def test_a_ticket_that_is_planned_again_keeps_what_its_attempts_came_to(house: House) -> None:
    first = await written(house, DRAFT, planned())
    async with house.resources.unit() as unit:
        await unit.take(first.job_id, house.user_id)
        ticket = await unit.session.get_one(Ticket, first.id)
        ticket.attempts, ticket.commit, ticket.status = 3, "c" * 40, "failed"
        ticket.reason, ticket.blocked = "It failed.", True
        ticket.contests = [
            contest("drop", "They come back."),
            contest("keep", "They come back."),
            contest("drop", "It is lent."),
        ]
    again = planned(
        id=first.id, type=TicketType.TASK, dependencies=[], order=8, assigned_to="", of_client=False
    )
    await written(house, OTHER, again, first)
    row = await read(house, first.id)
    assert (row["attempts"], row["commit"]) == (3, "c" * 40)
    assert (row["status"], row["reason"], row["blocked"]) == ("todo", "", False)
    same = {"id", "job_id", "run_id", "parent_id", "created_at", "updated_at", "blocked"}
    unchanged = {name for name, value in columns(first).items() if name not in same and value == row[name]}
    assert unchanged <= {"status", "reason", "attempts", "commit"}, "all that is planned is planned anew"
    assert row["contests"] == [contest("drop", "They come back.")], "a sentence that stays stays unproven"
    assert row["assigned_to"] == "Builder"


async def test_a_ticket_with_a_reason_is_left_out(house: House) -> None:
    ticket = await written(house, DRAFT, planned(skip_reason="It needs a bank."))
    assert (ticket.status, ticket.reason) == ("skipped", "It needs a bank.")

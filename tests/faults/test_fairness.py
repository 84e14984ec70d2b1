"""Two users of one server: nobody waits behind all that another has begun."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.store import runs
from app.store.tables import Run, User
from tests.helpers.company import DONE, HeldModel, company
from tests.helpers.house import TERMS, House
from tests.helpers.waiting import until
from workers.llm.model import Answer, Question
from workers.llm.scripted import ScriptedModel


@pytest.fixture
async def other(house: House) -> House:
    """The same house for another user."""
    user = uuid4()
    async with house.resources.unit() as unit:
        unit.session.add(User(id=user, email="bob@example.com", name="Bob", password_hash=""))
    return House(house.resources, user)


async def at_work(house: House, times: int) -> list[UUID]:
    """Jobs that need no chat any more, each newer than the one before."""
    made = [await house.create() for _ in range(times)]
    async with house.resources.unit() as unit:
        await unit.session.execute(text("update runs set stage = 'analysis'"))
    return made


async def waits(house: House, job: UUID) -> bool:
    """Whether all is said and no worker plans it."""
    async with house.resources.look() as session:
        run = (await session.scalars(select(Run).where(Run.job_id == job))).one()
    return (run.stage, run.worker) == ("analysis", "")


async def claimed(house: House, most: int, **more: Any) -> list[UUID]:
    async with house.resources.statements() as statements:
        return [claim.job_id for claim in await runs.claim(statements, "w1", 60, most=most, **more)]


async def test_runs_are_claimed_by_user_and_then_by_age(house: House, other: House) -> None:
    first, second, third, fourth = await at_work(house, 4)
    later, last = await at_work(other, 2)
    assert set(await claimed(house, 2)) == {first, later}
    assert await claimed(house, 1) == [second]
    assert await claimed(house, 1) == [last], "two are held against one"
    assert await claimed(house, 1) == [third]
    assert await claimed(house, 9) == [fourth]
    assert await claimed(house, 9) == []


async def test_many_claims_at_once_take_each_run_once(house: House, other: House) -> None:
    made = [*await at_work(house, 10), *await at_work(other, 3)]
    taken = await asyncio.gather(*(claimed(house, 2) for _ in range(10)))
    while more := await claimed(house, 9):  # rows that another claim had locked were skipped
        taken.append(more)
    assert Counter(job for some in taken for job in some) == Counter(made)


async def test_a_first_reply_waits_for_no_build(house: House, other: House) -> None:
    building = HeldModel("building")
    async with house.worker(building, terms=replace(TERMS, slots=1)):
        job = await house.create()
        await building.came.wait()
        theirs = await other.create()
        await other.until_answered(theirs, 1)
        await until(lambda: waits(house, theirs))
        building.go.set()
        assert (await house.until_finished(job)).status == "build_done"
        assert (await other.until_finished(theirs)).status == "build_done"


async def test_a_first_reply_waits_for_no_chats_of_another(house: House, other: House) -> None:
    talking = HeldModel("intake")
    async with house.worker(talking) as desk:
        for _ in range(TERMS.chats + 1):
            await house.create()
        await until(lambda: len(desk._held) == TERMS.chats - 1)
        theirs = await other.create()
        await until(lambda: any(item.claim.job_id == theirs for item in desk._held.values()))
        talking.go.set()
        assert (await other.until_finished(theirs, 60)).status == "build_done"


class Crowd(ScriptedModel):
    """Two builds, whose second steps are answered only when a third job is planned."""

    def __init__(self) -> None:
        super().__init__(company(intake=lambda _: DONE))
        self.both, self.go, self.third = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._asked = Counter[str]()

    async def ask(self, question: Question, *rest: Any) -> Answer:
        self._asked[question.purpose] += 1
        times = self._asked[question.purpose]
        if question.purpose == "analysis" and times == 3:
            self.third.set()
        if question.purpose == "building" and times == 2:
            self.both.set()
        if question.purpose == "building":
            await (self.go if times <= 2 else self.third).wait()
        return await super().ask(question, *rest)


async def test_a_user_with_all_slots_gives_one_back_at_the_next_step(house: House, other: House) -> None:
    crowd = Crowd()
    async with house.worker(crowd, terms=replace(TERMS, slots=2)) as desk:
        ours = [await house.create(), await house.create()]
        await crowd.both.wait()
        theirs = await other.create()
        await until(lambda: any(item.context.gives_way for item in desk._held.values()))
        crowd.go.set()
        for job in (theirs, *ours):
            done = await house.until_finished(job, 60)
            assert (done.status, done.verification) == ("build_done", "verified"), done.error_message
    attempts = [await house.attempts(job) for job in ours]
    assert all(each.outcome == "answered" for some in attempts for each in some), "no answer was lost"


async def test_nobody_gives_way_where_only_their_own_runs_wait(house: House) -> None:
    building = HeldModel("building")
    async with house.worker(building, terms=replace(TERMS, slots=2)) as desk:
        ours = [await house.create() for _ in range(3)]
        await building.came.wait()

        async def one_waits() -> bool:
            return sum([await waits(house, job) for job in ours]) == 1

        await until(one_waits)
        async with house.resources.statements() as statements:
            assert await runs.crowded_out(statements, set(desk._held)) == {}
        building.go.set()
        for job in ours:
            assert (await house.until_finished(job, 60)).status == "build_done"

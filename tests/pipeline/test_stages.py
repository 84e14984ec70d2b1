"""The table of stages, walked on a migrated database, as it is and with one stage more: each stage is entered
in a first pass, after a cancel and after a failure, and waits for whatever its record allows."""

import asyncio
import pkgutil
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.actions import changes, runs
from app.domain import stages
from app.domain.conversation import Agent
from app.domain.errors import Unavailable
from app.domain.job import ORDER, FailureCode, Status, Verification
from app.domain.stages import STAGES, RunState, Stage, WaitingFor, stage_named
from app.store import jobs
from app.store import runs as run_rows
from app.store.runs import Claim
from tests.helpers.company import DONE, company
from tests.helpers.house import House
from tests.helpers.waiting import until
from workers.context import Context
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel
from workers.pipeline import stages as room
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.plan import PLAN, play_of
from workers.pipeline.runner import play
from workers.waiting import Wait, go_on, wait

DESIGN = Stage("design", Status.PRD_READY, "planning", Agent.CTO, "Drawing the screens.")
"""A stage that Boardroom does not have."""

Play = Callable[[Context], Awaitable[Outcome]]


def test_every_file_of_the_room_is_a_stage_and_every_stage_has_a_file() -> None:
    files = {module.name for module in pkgutil.iter_modules(room.__path__)}
    assert set(PLAN) == set(STAGES) == files


def test_every_record_is_whole() -> None:
    for stage in STAGES.values():
        assert stage.again_from in ("", *STAGES)
        assert bool(stage.ends_as) == bool(stage.ends_with)
        assert stage.sentence or stage.status is Status.COLLECTING
        assert (WaitingFor.PLACE in stage.may_wait_for) == stage.in_the_box
        assert WaitingFor.NOTHING not in stage.may_wait_for


def add(monkeypatch: pytest.MonkeyPatch, played: Play) -> None:
    """Add `design` to the table, and a file of its name with its function, between the PRD and the
    tickets."""
    file = ModuleType("workers.pipeline.stages.design")
    file.design = played  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, file.__name__, file)
    table: dict[str, Stage] = {}
    for name, stage in STAGES.items():
        table |= {"design": DESIGN} if name == "ticketing" else {}
        table[name] = stage
    monkeypatch.setattr(stages, "STAGES", table)
    monkeypatch.setitem(PLAN, "design", play_of(DESIGN))


async def pass_on(context: Context) -> Outcome:
    """What all stages do in a walk: nothing, and then the next one."""
    async with context.change() as change:
        stage = change.stage
        if stage.ends_as is not Status.BUILD_DONE:
            end_stage(change)
            return Outcome.NEXT
        changes.finish(change.unit, change.job, Verification.UNVERIFIED, stage.ends_with)
        run_rows.end(change.job, change.run, RunState.DONE)
    return Outcome.OVER


@pytest.fixture(params=["as it is", "with one more"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Stage]:
    """The table; no stage does any work."""
    if request.param == "with one more":
        add(monkeypatch, pass_on)
    for name in stages.STAGES:
        monkeypatch.setitem(PLAN, name, pass_on)
    return stages.STAGES


async def claimed(house: House) -> tuple[Context, Claim]:
    async with house.resources.statements() as statements:
        [claim] = await run_rows.claim(statements, "w1", 60)
    lineup = Lineup(ScriptedModel(company()))
    return Context(house.resources, lineup, claim.job_id, claim.run_id, claim.fence), claim


async def play_on(house: House) -> None:
    """Play it, and go on after the conversation, at whose end it takes its place in line again."""
    context, claim = await claimed(house)
    await asyncio.wait_for(play(context, claim), 10)
    now = await row(house, claim.job_id)
    if claim.chats and now.state == "ready" and now.stage not in stages.CHATTING:
        await asyncio.wait_for(play(*await claimed(house)), 10)


async def row(house: House, job_id: UUID) -> Any:
    async with house.resources.look() as session:
        found = await session.execute(text("select * from runs where job_id = :id"), {"id": job_id})
        return found.one()


async def told(house: House, job_id: UUID) -> list[tuple[str, str, str]]:
    """What the service itself said, with the speaker and the shown name of the stage."""
    return [
        (event["sender"], event["metadata"]["stage"], event["content"])
        for event in await house.events(job_id)
        if event["kind"] == "stageUpdate" and event["role"] == "system"
    ]


async def statuses(house: House, job_id: UUID) -> list[str]:
    return [event["status"] for event in await house.events(job_id) if event["kind"] == "jobStatus"]


def announcements(some: list[Stage]) -> list[tuple[str, str, str]]:
    return [(stage.agent, stage.shown_as, stage.sentence) for stage in some if stage.sentence]


async def test_a_first_pass_goes_through_the_whole_table(house: House, table: dict[str, Stage]) -> None:
    job_id = await house.create()
    await play_on(house)
    assert await told(house, job_id) == announcements(list(table.values()))
    assert await statuses(house, job_id) == list(ORDER[1:])
    assert (await row(house, job_id)).state == "done"


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_every_stage_is_entered_again_after_a_retry(
    house: House, table: dict[str, Stage], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = list(table.values())
    for place, stage in enumerate(order):
        job_id = await house.create()

        async def end_here(context: Context) -> Outcome:
            if how == "failed":
                raise StageFailed(FailureCode.INTERNAL, "Enough.")
            await runs.cancel_job(house.resources, house.user_id, context.job_id)
            return await pass_on(context)

        with monkeypatch.context() as patch:
            patch.setitem(PLAN, stage.name, end_here)
            await play_on(house)
        ended = await row(house, job_id)
        assert (ended.state, ended.stage) == (how, stage.name)
        assert (await house.job(job_id)).status == "failed"
        await runs.retry_job(house.resources, house.user_id, job_id)
        await play_on(house)
        assert (await house.job(job_id)).status == "build_done", stage.name
        again = order.index(table[stage.again_from] if stage.again_from else stage)
        assert await told(house, job_id) == announcements(order[: place + 1] + order[again:])
        after = await statuses(house, job_id)
        after = after[after.index("failed") + 1 :]
        assert after == [s for s in ORDER if s in after], "no status goes back"


async def test_every_stage_waits_for_what_its_record_allows(
    house: House, table: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in table.values():
        for reason in stage.may_wait_for - {WaitingFor.ANSWER}:
            job_id = await house.create()
            waiting_for: list[str] = []

            async def lacking(context: Context, reason: WaitingFor = reason) -> Outcome:
                raise Wait(reason, "It is not there. It goes on by itself.", 0)

            async def there(
                context: Context, reason: WaitingFor = reason, waiting_for: list[str] = waiting_for
            ) -> Outcome:
                await go_on(context, reason, "It is there.")
                waiting_for.append((await context.run()).waiting_for)
                return await pass_on(context)

            with monkeypatch.context() as patch:
                patch.setitem(PLAN, stage.name, lacking)
                for _ in range(3):
                    await play_on(house)
                    waits = await row(house, job_id)
                    assert (waits.state, waits.waiting_for, waits.worker) == ("ready", reason, "")
                    assert waits.claims == 0, "to wait is not to fail"
                patch.setitem(PLAN, stage.name, there)
                await play_on(house)
            assert waiting_for == [""]
            said = [line for line in await told(house, job_id) if line[2].startswith("It is")]
            assert said == [
                (stage.agent, stage.shown_as, "It is not there. It goes on by itself."),
                (stage.agent, stage.shown_as, "It is there."),
            ], "each is said once"


async def test_a_run_that_waits_is_due_again_at_the_time_named(house: House) -> None:
    await house.create()
    context, _ = await claimed(house)
    async with context.change() as change:
        wait(change, WaitingFor.MODEL, "The model is away. It goes on by itself.", 60)
    async with house.resources.statements() as statements:
        assert await run_rows.claim(statements, "w1", 60) == []
    async with house.resources.look() as session:
        left = await session.scalar(
            text("select extract(epoch from lease_until - clock_timestamp()) from runs")
        )
    assert 50 < left <= 60


async def test_a_run_that_waits_for_something_and_is_cancelled_waits_for_nothing(house: House) -> None:
    job_id = await house.create()
    context, _ = await claimed(house)
    async with context.change() as change:
        wait(change, WaitingFor.MODEL, "The model is away. It goes on by itself.", 60)
    assert (await house.job(job_id)).waiting_for == "model"
    await runs.cancel_job(house.resources, house.user_id, job_id)
    assert (await row(house, job_id)).waiting_for == (await house.job(job_id)).waiting_for == ""


async def test_a_stage_waits_for_nothing_that_its_record_does_not_name(house: House) -> None:
    job_id = await house.create()
    context, _ = await claimed(house)
    for reason in set(WaitingFor) - stage_named("intake").may_wait_for:
        with pytest.raises(ValueError, match="may not wait"):
            async with context.change() as change:
                wait(change, reason)
    assert (await row(house, job_id)).waiting_for == ""


async def test_a_run_waits_for_the_clients_answer_until_it_comes(house: House) -> None:
    async with house.worker(ScriptedModel(company())):
        job_id = await house.create()

        async def waits() -> bool:
            return bool((await row(house, job_id)).state == "waiting")

        await until(waits)
        assert (await row(house, job_id)).waiting_for == "answer"
        async with house.resources.statements() as statements:
            told = await jobs.job(statements, house.user_id, job_id)
        assert b'"waiting_for" : "answer"' in (told or b""), "as clients see it"
        await runs.start_now(house.resources, house.user_id, job_id)
        assert (await row(house, job_id)).waiting_for == (await house.job(job_id)).waiting_for == ""


async def test_a_whole_job_with_one_stage_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled in the new stage, and retried."""
    entered: list[int] = []

    async def design(context: Context) -> Outcome:
        entered.append((await context.run()).retries)
        if len(entered) == 1:
            await runs.cancel_job(house.resources, house.user_id, context.job_id)
        return await pass_on(context)

    add(monkeypatch, design)
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE))):
        job_id = await house.create()
        assert (await house.until_finished(job_id)).failure_code == "cancelled"
        await runs.retry_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    assert entered == [0, 1]
    lines = [line for line in await told(house, job_id) if line[2] == DESIGN.sentence]
    assert lines == announcements([DESIGN, DESIGN])


async def test_a_run_whose_end_cannot_be_stored_is_left_to_the_next_worker(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await house.create()

    async def end_here(context: Context) -> Outcome:
        raise StageFailed(FailureCode.INTERNAL, "Enough.")

    def away(*_: Any) -> None:
        raise Unavailable("The database is away.")

    monkeypatch.setitem(PLAN, "intake", end_here)
    with monkeypatch.context() as patch:
        patch.setattr(changes, "fail", away)
        await play_on(house)
        assert (await row(house, job_id)).state == "ready"
    async with house.resources.unit() as unit:
        await unit.session.execute(text("update runs set lease_until = null"))
    await play_on(house)
    assert (await row(house, job_id)).state == "failed"

"""What a client can do to an active run, and the state after that."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.actions import jobs, runs
from app.domain.errors import Conflict
from app.runtime.workspace import WorkspaceMissing
from app.runtime.worlds import World
from app.store import rows
from tests.helpers.company import DONE, MORE, HeldModel, builder, call, company, growing_company
from tests.helpers.house import House, tickets
from tests.helpers.waiting import until
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel


async def make(house: House) -> UUID:
    return await house.create()


async def test_pausing_lets_the_answer_be_stored_and_resuming_goes_on(house: House) -> None:
    model = HeldModel("prd")
    async with house.worker(model) as desk:
        job_id = await make(house)
        await model.came.wait()
        await runs.pause_job(house.resources, house.user_id, job_id)
        await until(lambda: _idle_or_paused(desk))
        model.go.set()
        await until(lambda: _free(desk))
        job = await house.job(job_id)
        assert job.status in ("planning", "prd_ready")
        assert job.is_paused
        assert job.model_calls == len(model.asked), "the answer under way was stored"
        await runs.resume_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id)
    assert (job.status, job.is_paused) == ("build_done", False)
    assert sum(question.purpose == "prd" for question in model.asked) == 1
    told = [e["isPaused"] for e in await house.events(job_id) if e["kind"] == "jobStatus"]
    assert [a for a, b in zip(told, [*told[1:], None], strict=True) if a != b] == [False, True, False]


async def _idle_or_paused(desk: Any) -> bool:
    return all(held.context.pause.is_set() for held in desk._held.values())


async def _free(desk: Any) -> bool:
    return not desk._held


async def test_pausing_ends_a_command(house: House) -> None:
    def slow(question: Question) -> Line:
        turn = sum(message.role == "assistant" for message in question.messages)
        return (
            call("run_command", command="touch started; sleep 30; touch finished", timeout_s=60)
            if turn == 0
            else builder(question)
        )

    model = ScriptedModel(company(intake=lambda _: DONE, building=slow))
    async with house.worker(model) as desk:
        job_id = await make(house)

        async def started() -> bool:
            if (await house.job(job_id)).status != "building":
                return False
            try:
                workspace = await house.resources.runtime.attach(job_id, world=World.BENCH)
            except WorkspaceMissing:
                return False
            try:
                return any(node.name == "started" for node in (await workspace.list("/app", 100)).structure)
            finally:
                await workspace.close()

        await until(started)
        await runs.pause_job(house.resources, house.user_id, job_id)
        await until(lambda: _free(desk), within_s=10)
        workspace = await house.resources.runtime.attach(job_id, world=World.BENCH)
        found = await workspace.run("pgrep -x sleep; ls", timeout_s=10)
        await workspace.close()
        assert "finished" not in found.output
        assert not any(line.isdigit() for line in found.output.split())


async def test_cancelling_takes_effect_at_once_and_a_retry_goes_on_from_there(house: House) -> None:
    model = HeldModel("building")
    async with house.worker(model):
        job_id = await make(house)
        await model.came.wait()
        await runs.cancel_job(house.resources, house.user_id, job_id)
        job = await house.job(job_id)
        assert (job.status, job.failure_code) == ("failed", "cancelled")
        assert "continuation" not in job.error_message
        assert {t.status for t in await tickets(house, job_id)} == {"todo"}
        before = len(await house.events(job_id))
        model.go.set()
        with pytest.raises(Conflict):
            await runs.cancel_job(house.resources, house.user_id, job_id)
        with pytest.raises(Conflict):
            await runs.pause_job(house.resources, house.user_id, job_id)
        assert len(await house.events(job_id)) == before
        await runs.retry_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    assert sum(question.purpose == "prd" for question in model.asked) == 1, "kept answers are reused"


async def test_cancelling_and_deleting_need_no_worker(house: House) -> None:
    job_id = await make(house)
    await runs.cancel_job(house.resources, house.user_id, job_id)
    assert (await house.job(job_id)).status == "failed"
    await jobs.delete_job(house.resources, house.user_id, job_id)
    async with house.resources.look() as session:
        assert await rows.job_ids(session, house.user_id) == []
        assert await rows.removals(session) == [job_id]


async def test_deleting_a_job_ends_its_run_and_removes_its_box(house: House) -> None:
    model = HeldModel("building")
    async with house.worker(model) as desk:
        job_id = await make(house)
        await model.came.wait()
        assert (await house.resources.runtime.status(job_id, World.BENCH)).state == "running"
        await jobs.delete_job(house.resources, house.user_id, job_id)
        await until(lambda: _free(desk))

        async def gone() -> bool:
            async with house.resources.look() as session:
                waiting = await rows.removals(session)
            return not waiting and job_id not in await house.resources.runtime.boxes()

        await until(gone)


async def test_of_many_continuations_exactly_one_wins_and_finished_tickets_keep_their_ids(
    house: House,
) -> None:
    async with house.worker(ScriptedModel(growing_company())):
        job_id = await make(house)
        await house.until_finished(job_id)
        first = {t.id: t.commit for t in await tickets(house, job_id)}
        asked = [runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE) for _ in range(20)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        won = [orjson.loads(result) for result in results if isinstance(result, bytes)]
        assert [answer["job"]["status"] for answer in won] == ["queued"]
        codes = {result.code for result in results if isinstance(result, Conflict)}
        assert codes == {"continuation_in_progress"}
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    assert job.prompt == job.requirements_summary == "3 pages."
    second = {t.id: t.commit for t in await tickets(house, job_id)}
    assert first.items() <= second.items()
    assert len(second) == len(first) + 1
    assert [e["kind"] for e in await house.events(job_id)].count("ticketReset") == 2
    workspace = await house.resources.runtime.attach(job_id)
    answer = await workspace.request("GET", "/contact")
    await workspace.close()
    assert answer.status == 200, "the app that runs is the one that was built last"

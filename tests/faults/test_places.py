"""WORKSPACES_MAX is reached: a run waits in `building`, says so, and continues by itself."""

import dataclasses
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from app.actions import runs
from app.runtime.local.runtime import LocalRuntime
from app.store import runs as run_rows
from tests.helpers.company import HeldModel
from tests.helpers.house import TERMS, House
from tests.helpers.waiting import until
from workers.pipeline import box

ONE_SLOT = dataclasses.replace(TERMS, slots=1)


async def _said(house: House, job_id: UUID, words: str) -> int:
    return sum(words in event.get("content", "") for event in await house.events(job_id))


async def _fence(house: House, job_id: UUID) -> int:
    async with house.resources.unit() as unit:
        run = await run_rows.latest(unit.session, job_id)
    assert run is not None
    return run.fence or 0


@pytest.mark.long
async def test_without_a_place_a_run_waits_and_takes_no_slot(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box, "PLACE_S", 0.1)
    runtime = LocalRuntime(tmp_path / "boxes", idle_s=30, max_boxes=1)
    house.resources = dataclasses.replace(house.resources, runtime=runtime)
    model = HeldModel("building")
    async with house.worker(model, "w1", ONE_SLOT):
        first = await house.create()
        await model.came.wait()
        async with house.worker(model, "w2", ONE_SLOT):
            waiting, given_up = await house.create(), await house.create()
            # Both runs get this far, although only one slot is free.
            for job_id in (waiting, given_up):
                await until(partial(_said, house, job_id, "Waiting for a place"))
            before = await _fence(house, waiting)

            async def asked_again() -> bool:
                return await _fence(house, waiting) > before

            await until(asked_again)
            assert await _said(house, waiting, "Waiting for a place") == 1, "it is said once"
            job = await house.job(waiting)
            assert (job.status, job.error_message) == ("building", "")
            await runs.cancel_job(house.resources, house.user_id, given_up)
            assert (await house.job(given_up)).failure_code == "cancelled"
            await runs.pause_job(house.resources, house.user_id, waiting)
        # The worker that asked for a place has ended, and so has the build that had the place.
        model.go.set()
        assert (await house.until_finished(first)).status == "build_done"
        paused = await _fence(house, waiting)
        assert (await runtime.status(waiting)).state in ("none", "asleep")
        await runs.resume_job(house.resources, house.user_id, waiting)
        job = await house.until_finished(waiting)
        assert await _fence(house, waiting) > paused
    assert (job.status, job.verification) == ("build_done", "verified")
    assert await _said(house, waiting, "There is a place now") == 1
    assert (await house.job(given_up)).status == "failed"
    await runtime.close()

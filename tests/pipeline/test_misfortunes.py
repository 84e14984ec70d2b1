"""A build on boxes that fail (see `tests.helpers.twin`) ends with the true result."""

from dataclasses import replace
from uuid import UUID

import pytest

from app.actions import runs
from app.runtime import attachment
from app.store import boxes, rows
from app.store.tables import Job
from tests.helpers.company import DONE, company
from tests.helpers.house import House
from tests.helpers.twin import Misfortune, Twin
from workers.llm.scripted import ScriptedModel


def struck(house: House, misfortune: Misfortune) -> None:
    house.resources = replace(house.resources, runtime=Twin(house.resources.runtime, misfortune))


async def built(house: House) -> Job:
    async with house.worker(ScriptedModel(company(intake=lambda _: DONE))):
        return await house.until_finished(await house.create())


async def statuses(house: House, job_id: UUID) -> set[str]:
    async with house.resources.look() as session:
        return {ticket.status for ticket in await rows.tickets(session, job_id)}


async def test_a_job_without_a_box_fails_and_outlives_boxes_that_are_slow_and_die(house: House) -> None:
    misfortune = Misfortune(never=True)
    struck(house, misfortune)
    job = await built(house)
    assert (job.status, job.failure_code) == ("failed", "sandbox_unavailable")
    assert "no room in the world" in job.error_message
    assert "boardroom doctor" in job.error_message
    assert await statuses(house, job.id) == {"todo"}
    misfortune.never, misfortune.slow_s = False, 0.01
    misfortune.dies_at = {"save", "commit", "check", "bundle", "start_app"}
    async with house.worker(ScriptedModel(company())):
        await runs.retry_job(house.resources, house.user_id, job.id)
        job = await house.until_finished(job.id)
    assert (job.status, job.verification) == ("build_done", "verified")
    assert not misfortune.dies_at, "it died of all of them"


async def test_a_box_for_which_everything_passes_proves_nothing(house: House) -> None:
    struck(house, Misfortune(lie=True))
    job = await built(house)
    assert job.verification != "verified"


async def test_a_box_in_which_nothing_passes_closes_no_ticket_and_a_retry_in_a_sound_one_does(
    house: House,
) -> None:
    misfortune = Misfortune(lie=False)
    struck(house, misfortune)
    job = await built(house)
    assert (job.status, job.failure_code) == ("failed", "checks_failed")
    assert "done" not in await statuses(house, job.id)
    misfortune.lie = None
    async with house.worker(ScriptedModel(company())):
        await runs.retry_job(house.resources, house.user_id, job.id)
        job = await house.until_finished(job.id)
    assert (job.status, job.verification) == ("build_done", "verified"), "the same files, checked again"


async def test_a_repository_too_large_to_leave_its_box_ends_no_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "MAX_BUNDLE_BYTES", 1)
    job = await built(house)
    assert (job.status, job.verification) == ("build_done", "verified")
    async with house.resources.look() as session:
        assert await boxes.find_bundle(session, job.id) is None
    said = [event.get("content", "") for event in await house.events(job.id)]
    assert any("The repository is larger than" in content for content in said)


class Storm(set[str]):
    """The box dies twice at one attempt, then whenever it is attached to."""

    strikes = 0

    def __contains__(self, name: object) -> bool:
        struck = name == ("checkpoint" if self.strikes < 2 else "head")
        self.strikes += struck
        return struck

    def remove(self, _: str) -> None:
        """It strikes again."""


async def test_a_retry_after_a_lost_box_really_tries(house: House) -> None:
    misfortune = Misfortune(dies_at=Storm())
    struck(house, misfortune)
    job = await built(house)
    assert (job.status, job.failure_code) == ("failed", "sandbox_unavailable")
    misfortune.dies_at = set()
    before = len(await house.events(job.id))
    async with house.worker(ScriptedModel(company())):
        await runs.retry_job(house.resources, house.user_id, job.id)
        job = await house.until_finished(job.id)
    assert (job.status, job.verification) == ("build_done", "verified")
    said = str((await house.events(job.id))[before:])
    assert "did not survive" not in said

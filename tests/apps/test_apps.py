"""A scripted model behind HTTP builds and continues an app of each profile, which is then used in its
preview."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.job import FINISHED
from tests.apps.good_model import APPS, Step, good_company
from tests.helpers.boxes import unavailable
from tests.helpers.house import House
from tests.helpers.lineup import lineup
from tests.helpers.model_server import open_server
from tests.helpers.parts import Parts
from tests.helpers.previewed import Shown
from tests.helpers.service import Person, Service, serve
from tests.helpers.waiting import until
from tests.helpers.wire_company import plays

BUILT_S = 150
SERVED = {"docker": list(APPS), "local": ["static"]}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", SERVED)
async def test_apps_are_built_and_continued(parts: Parts, tmp_path: Path, runtime: str) -> None:
    async with (
        serve(parts, tmp_path, cors_origins=None, workspace_runtime=runtime) as service,
        open_server() as models,
    ):
        found = await service.resources.runtime.examine()
        if not found.ok:
            unavailable(f"{found.detail} {found.remedy}")
        person = await service.person()
        house = House(service.resources, person.id)
        async with (
            house.worker(lineup(models, [plays(good_company())])),
            asyncio.TaskGroup() as group,
        ):
            for profile in SERVED[runtime]:
                group.create_task(build_and_look(service, person, house, *APPS[profile]))
        await person.client.aclose()


async def build_and_look(service: Service, person: Person, house: House, first: Step, second: Step) -> None:
    job_id = await person.job(first.wish)
    await look(Shown(service, person, job_id), house, first)
    asked = await person.client.post(f"/api/jobs/{job_id}/continue/", json={"requirements": second.wish})
    assert asked.status_code == 202
    await look(Shown(service, person, job_id), house, second)
    seen = (await person.client.get(f"/api/jobs/{job_id}/evidence/")).json()
    own = [item for item in seen if item["check"]["id"].startswith("profile.")]
    assert len(own) >= 4, "on the commit of each ticket, and at the end of each run"
    assert all(item["passed"] and item["ticket_id"] is None for item in own)
    await service.resources.runtime.destroy(UUID(job_id))


async def look(shown: Shown, house: House, step: Step) -> None:
    """Wait for the build, then check the app through its preview."""

    async def finished() -> bool:
        return (await house.job(UUID(shown.job_id))).status in FINISHED

    await until(finished, BUILT_S)
    job = await house.job(UUID(shown.job_id))
    seen = (await shown.owner.client.get(f"/api/jobs/{shown.job_id}/evidence/")).json()
    failed = [item["output_tail"] for item in seen if not item["passed"]]
    assert (job.status, job.verification) == ("build_done", "verified"), (job.error_message, failed)
    await shown.open()
    assert step.shows in (await shown.get(step.path)).text

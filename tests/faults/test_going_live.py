"""An app goes live on bad days: no acknowledged entry is lost, and exactly one version runs."""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

import pytest

from app.store.tables import GoingLive
from tests.helpers.boxes import output_of
from tests.helpers.entering import built, more
from tests.helpers.entries import app_of
from tests.helpers.house import House
from tests.helpers.parts import Parts
from tests.helpers.processes import ROOT
from tests.helpers.service import Service, serve
from tests.helpers.visitor import Visitor


@pytest.mark.timeout(400)
@pytest.mark.parametrize("refused", [False, True])
async def test_no_entry_is_lost_if_workers_are_killed_at_every_step(
    parts: Parts, tmp_path: Path, refused: bool
) -> None:
    """A client goes on making entries through the preview, and waits where it is told to."""
    async with serve(parts, tmp_path, cors_origins=None) as service:
        person = await service.person()
        house = House(service.resources, person.id)
        job_id = await built(house)
        visitor = Visitor(person.client, str(job_id))
        assert (await visitor.open()).status_code == 200
        await more(house, job_id)
        async with visitor.entering():
            assert await deaths(service, job_id, refused) >= 8, "the kills were not planted"
        job = await house.job(job_id)
        expected = ("failed", "checks_failed") if refused else ("build_done", "")
        assert (job.status, job.failure_code or "") == expected, job.error_message
        kept = (await visitor.ask("/entries")).text.split(";")
        assert kept[0] == '"milk"'
        assert set(visitor.acknowledged) <= set(kept), "an acknowledged entry is lost"
        assert len(kept) == len(set(kept)), "an entry is there twice"
        assert not any("builder" in entry for entry in kept)
        assert len(visitor.acknowledged) > 10
        assert visitor.waited, "nobody was told to wait while the app was changed"
        assert len(visitor.addresses) == 1, "the address survives"
        assert (await visitor.ask("/contact")).status_code == (404 if refused else 200)
        async with app_of(house, job_id) as app:
            assert int(await output_of(app, "pgrep -fc '[s]erver.py'")) >= 1
        async with house.resources.look() as session:
            assert await session.get(GoingLive, job_id) is None
        await service.resources.runtime.destroy(job_id)
        await person.client.aclose()


async def deaths(service: Service, job_id: UUID, refused: bool) -> int:
    """Play the job's run with workers that die while its result goes live; how many did."""
    settings = service.application.settings
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.mortal_bringer"),
        *(settings.database_url, settings.redis_url, str(settings.workspaces_dir)),
        *(str(job_id), str(int(refused))),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await worker.communicate()
    assert worker.returncode == 0
    return int(said.split()[-1])

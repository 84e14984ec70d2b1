"""An app goes live on bad days: no acknowledged entry is lost, and exactly one version runs."""

import asyncio
import sys
from pathlib import Path

import pytest

from app.store.tables import GoingLive
from tests.helpers.boxes import output_of
from tests.helpers.entering import built, entering, more
from tests.helpers.entries import app_of, entries
from tests.helpers.house import House

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("refused", [False, True])
async def test_no_entry_is_lost_if_workers_are_killed_at_every_step(
    house: House, database_url: str, redis_url: str, tmp_path: Path, refused: bool
) -> None:
    job_id = await built(house)
    await more(house, job_id)
    async with entering(house, job_id) as acknowledged:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.mortal_bringer",
            database_url,
            redis_url,
            str(tmp_path / "boxes"),
            str(job_id),
            str(int(refused)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await worker.communicate()
    assert worker.returncode == 0
    assert int(said.split()[-1]) >= 8, "the kills were not planted"
    job = await house.job(job_id)
    expected = ("failed", "checks_failed") if refused else ("build_done", "")
    assert (job.status, job.failure_code or "") == expected, job.error_message
    kept = (await entries(house, job_id)).split(";")
    assert kept[0] == '"milk"'
    assert set(acknowledged) <= set(kept), "an acknowledged entry is lost"
    assert len(kept) == len(set(kept)), "an entry is there twice"
    assert not any("builder" in entry for entry in kept)
    assert len(acknowledged) > 10
    async with app_of(house, job_id) as app:
        assert (await app.request("GET", "/contact")).status == (404 if refused else 200)
        assert int(await output_of(app, "pgrep -fc '[s]erver.py'")) >= 1
    async with house.resources.look() as session:
        assert await session.get(GoingLive, job_id) is None

"""A worker is killed at every commit of a run: nothing is lost, repeated or paid for twice."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.helpers.house import House

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
async def test_a_job_survives_a_kill_at_every_boundary(
    house: House, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    job_id = await house.create()
    calls = tmp_path / "calls"
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.mortal_worker",
        database_url,
        redis_url,
        str(tmp_path / "boxes"),
        str(job_id),
        str(calls),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await worker.communicate()
    assert worker.returncode == 0
    job = await house.job(job_id)
    assert job.error_message == ""
    assert (job.status, job.verification) == ("build_done", "verified")
    assert int(said.split()[-1]) >= 60, "the kills were not planted"
    await _nothing_twice(house, job_id)

    asked = Counter(calls.read_text().splitlines())
    assert max(asked.values()) <= 2, "only an answer lost with its worker is asked for again"
    async with house.resources.look() as session:
        stored = await session.scalar(
            text(
                "select count(*) from run_steps s join runs r on r.id = s.run_id"
                " where r.job_id = :id and s.kind = 'model'"
            ),
            {"id": job_id},
        )
    assert stored == len(asked) == job.model_calls


async def _nothing_twice(house: House, job_id: object) -> None:
    events = await house.events(job_id)  # type: ignore[arg-type]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    told = Counter(str({k: v for k, v in e.items() if k not in ("seq", "timestamp")}) for e in events)
    assert max(told.values()) == 1, "no event is told twice"
    async with house.resources.look() as session:
        for table, columns in (
            ("messages", "content"),
            ("tickets", "title"),
            ("steps", '"order"'),
            ("evidence", "ticket_id, phase, check_digest, tree"),
        ):
            doubled = await session.execute(
                text(
                    f"select {columns} from {table} where job_id = :id group by {columns} having count(*) > 1"
                ),
                {"id": job_id},
            )
            assert doubled.all() == [], table

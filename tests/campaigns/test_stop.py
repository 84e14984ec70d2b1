"""An API process with many sockets and a worker with many jobs are asked to stop: both end cleanly and in
time, and the jobs go on afterwards (R10)."""

import asyncio
import signal
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.campaigns.processes import make_job, nothing_is_told_twice, open_processes, until_ended
from tests.e2e.guide_client import GuideClient
from tests.rehearsal.ground import free_port

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]

SOCKETS, SOCKETS_A_USER, JOBS = 500, 100, 20
STOPPED_S = 10.0
RESTARTING = 1012


async def test_a_stop_with_many_sockets_and_jobs(tmp_path: Path) -> None:
    async with open_processes(tmp_path, WORKER_SLOTS=str(JOBS)) as running:
        api = await running.start_api(free_port())
        worker = await running.start_worker()
        people = [await running.person(api.url) for _ in range(SOCKETS // SOCKETS_A_USER)]
        jobs = [(people[n % len(people)], await make_job(people[n % len(people)])) for n in range(JOBS)]
        sockets = [await _open(*jobs[n % JOBS]) for n in range(SOCKETS)]
        closing = [asyncio.create_task(_code_of(connection)) for connection in sockets]
        for person, job_id in jobs:
            await person.post(f"/api/jobs/{job_id}/start/", 202)
        async with running.database() as database:
            while not await database.fetchval("select count(*) from jobs where status = 'building'"):
                await asyncio.sleep(0.1)
        began = time.monotonic()
        codes = await asyncio.gather(
            running.end(api.process, signal.SIGTERM), running.end(worker, signal.SIGTERM)
        )
        took = time.monotonic() - began
        closed = Counter(await asyncio.gather(*closing))
        await running.start_worker()
        await running.start_api(api.port)
        ended = Counter([await until_ended(*job) for job in jobs])
        async with running.database() as database:
            await nothing_is_told_twice(database)
        for person in people:
            await person.http.aclose()
    print(
        f"\nstopped in {took:.1f} s with {SOCKETS} sockets, closed with {dict(closed)}; "
        f"{JOBS} jobs afterwards {dict(ended)}"
    )
    assert codes == [0, 0]
    assert took <= STOPPED_S
    assert closed == {RESTARTING: SOCKETS}
    assert ended == {"build_done": JOBS}


async def _open(person: GuideClient, job_id: UUID) -> ClientConnection:
    return await connect(f"{person.ws_url}/ws/jobs/{job_id}/?token={person.access}", open_timeout=60)


async def _code_of(connection: ClientConnection) -> int | None:
    """Read until the server closes the socket."""
    try:
        while True:
            await connection.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None

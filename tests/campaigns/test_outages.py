"""Redis and PostgreSQL go away again and again under load: nothing that was acknowledged is lost, reads and
deliveries come back (R4, R5)."""

import asyncio
import json
import os
import signal
import time
from asyncio import to_thread
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from tests.campaigns.processes import (
    beside,
    nothing_is_told_twice,
    open_processes,
    start_job,
    until_ended,
)
from tests.helpers.guide_client import GuideClient
from tests.helpers.house import House, open_house
from tests.helpers.ports import free_port
from tests.helpers.sockets import stored, tell

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]

OUTAGES = 20
WATCHERS = 5
EVENTS_A_SECOND, READS_A_SECOND, WRITES_A_SECOND = 20, 20, 5
FREEZE_S = 10.0
DELIVERED_S, HEALED_S, WAIT_S = 2.0, 5.0, 60.0
PAUSE_S = 2.0
"""Between two outages."""


async def forget_all(valkey: Valkey) -> None:
    async with Redis.from_url(valkey.url) as redis:
        await redis.flushall()


async def restart(valkey: Valkey) -> None:
    await to_thread(valkey.stop)
    await to_thread(valkey.start, may_move=False)


async def cut_subscriptions(valkey: Valkey) -> None:
    async with Redis.from_url(valkey.url) as redis:
        await redis.client_kill_filter(_type="pubsub")


async def freeze(valkey: Valkey) -> None:
    async with Redis.from_url(valkey.url) as redis:
        pid = (await redis.info("server"))["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FREEZE_S)
    finally:
        os.kill(pid, signal.SIGCONT)


OUTAGES_OF_REDIS: tuple[Callable[[Valkey], Awaitable[None]], ...] = (
    forget_all,
    restart,
    cut_subscriptions,
    freeze,
)


async def test_redis_goes_twenty_times(tmp_path: Path) -> None:
    async with (
        open_processes(tmp_path) as running,
        open_house(running.postgres.url, running.valkey.url, tmp_path / "boxes") as house,
    ):
        api = await running.start_api(free_port())
        await running.start_worker()
        person = await running.person(api.url)
        job_id = UUID((await person.post("/api/jobs/", 201, {"prompt": "A reading list."}))["id"])
        seen: list[list[dict[str, Any]]] = [[] for _ in range(WATCHERS)]
        reads: Counter[int] = Counter()
        building = [await start_job(person) for _ in range(3)]
        delivered = []
        async with beside(
            *(_watch(person, job_id, each) for each in seen),
            _read(person, f"/api/jobs/{job_id}/", reads),
        ):
            async with beside(_talk(house, job_id)):
                for outage in range(OUTAGES):
                    await OUTAGES_OF_REDIS[outage % len(OUTAGES_OF_REDIS)](running.valkey)
                    last = (await stored(house.resources, job_id))[-1]["seq"]
                    delivered.append(await _until_heard(seen, last + 1))
                    await asyncio.sleep(PAUSE_S)
            statuses = [await until_ended(person, each) for each in building]
            log = await stored(house.resources, job_id)
            await _until_heard(seen, log[-1]["seq"])
        print(
            f"\n{OUTAGES} outages of Redis, {len(log)} events to {WATCHERS} sockets, reads {dict(reads)}, "
            f"jobs {statuses}; newer events delivered at most {max(delivered):.2f} s after an outage"
        )
        assert all(each == log for each in seen)
        assert set(reads) == {200}
        assert statuses == ["build_done"] * len(building)
        assert max(delivered) <= DELIVERED_S
        await person.http.aclose()


async def test_postgres_restarts_twenty_times(tmp_path: Path) -> None:
    async with open_processes(tmp_path) as running:
        api = await running.start_api(free_port())
        await running.start_worker()
        person = await running.person(api.url)
        kept: set[str] = set()
        writes: Counter[int] = Counter()
        reads: Counter[int] = Counter()
        building = [await start_job(person) for _ in range(3)]
        healed = []
        async with beside(_write(person, kept, writes), _read(person, "/api/jobs/?limit=5", reads)):
            for _ in range(OUTAGES):
                await _restart_at_once(running.postgres)
                healed.append(await _until_more(kept, len(kept)))
                await asyncio.sleep(PAUSE_S)
        statuses = [await until_ended(person, each) for each in building]
        there = {job["id"] for job in await person.get("/api/jobs/")}
        print(
            f"\n{OUTAGES} restarts of PostgreSQL, {len(kept)} jobs acknowledged, writes {dict(writes)}, "
            f"reads {dict(reads)}, builds {statuses}; next write at most {max(healed):.2f} s after a start"
        )
        assert kept <= there, "what was acknowledged is there"
        assert set(writes) <= {201, 503}
        assert set(reads) <= {200, 503}
        assert statuses == ["build_done"] * len(building)
        assert max(healed) <= HEALED_S
        async with running.database() as database:
            await nothing_is_told_twice(database)
        await person.http.aclose()


async def _until_heard(seen: list[list[dict[str, Any]]], number: int) -> float:
    """The seconds until each has heard the event with this number."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_S):
        while any(not each or each[-1]["seq"] < number for each in seen):
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def _until_more(kept: set[str], before: int) -> float:
    """The seconds until there are more than before."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_S):
        while len(kept) <= before:
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def _restart_at_once(postgres: Postgres) -> None:
    """An immediate stop: all sessions end without a checkpoint, as in a crash. Then a start."""
    os.kill(int((postgres.cwd / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
    await to_thread(postgres.stop)
    await to_thread(postgres.start, may_move=False)


async def _watch(person: GuideClient, job_id: UUID, seen: list[dict[str, Any]]) -> None:
    address = f"{person.ws_url}/ws/jobs/{job_id}/?token={person.access}&since=0"
    async with connect(address) as connection:
        while True:
            event = json.loads(await connection.recv())
            if "seq" in event and event["kind"] != "synced":
                seen.append(event)


async def _talk(house: House, job_id: UUID) -> None:
    while True:
        await tell(house.resources, job_id, "word")
        await asyncio.sleep(1 / EVENTS_A_SECOND)


async def _read(person: GuideClient, path: str, answers: Counter[int]) -> None:
    while True:
        answer = await person.http.get(path)
        _is_well_said(answer)
        answers[answer.status_code] += 1
        await asyncio.sleep(1 / READS_A_SECOND)


async def _write(person: GuideClient, kept: set[str], answers: Counter[int]) -> None:
    while True:
        answer = await person.http.post("/api/jobs/", json={"prompt": "A reading list."})
        _is_well_said(answer)
        answers[answer.status_code] += 1
        if answer.status_code == 201:
            kept.add(answer.json()["id"])
        await asyncio.sleep(1 / WRITES_A_SECOND)


def _is_well_said(answer: httpx.Response) -> None:
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"]

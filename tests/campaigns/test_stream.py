"""Clients leave and come back at random moments while API processes are restarted: none misses an event, none
sees one twice or out of order (R7)."""

import asyncio
import json
import random
import signal
import socket
import struct
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.campaigns.processes import Api, Processes, beside, open_processes
from tests.helpers.guide_client import GuideClient
from tests.helpers.house import open_house
from tests.helpers.ports import free_port
from tests.helpers.sockets import stored, tell

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]

RECONNECTS, CLIENTS = 1000, 10
EVENTS_A_SECOND = 20
STAY_S = (0.0, 1.5)
RESTART_EVERY_S = 4.0
HALF_OPEN = 40
"""So many abandoned connections of a client are kept; older ones are reset."""


class Watcher:
    """A client that keeps what it was sent, and checks that each event follows on the last one."""

    def __init__(self, apis: list[Api], person: GuideClient, job_id: UUID, dice: random.Random) -> None:
        self._apis = apis
        self._person = person
        self._job_id = job_id
        self._dice = dice
        self._abandoned: deque[ClientConnection] = deque()
        self.seen: list[dict[str, Any]] = []
        self.endings: Counter[str] = Counter()

    async def come_and_go(self, times: int) -> None:
        while self.endings.total() < times:
            if (connection := await self._connect()) is not None:
                with suppress(TimeoutError, ConnectionClosed):
                    async with asyncio.timeout(self._dice.uniform(*STAY_S)):
                        await self._read(connection)
                await self._leave(connection)

    async def catch_up(self, last: int) -> None:
        """Come back a last time, and stay until event `last` has come."""
        while not self.seen or self.seen[-1]["seq"] < last:
            if (connection := await self._connect()) is not None:
                with suppress(ConnectionClosed):
                    await self._read(connection, last)
                await connection.close()
        for connection in self._abandoned:
            _reset(connection)

    async def _connect(self) -> ClientConnection | None:
        since = self.seen[-1]["seq"] if self.seen else 0
        url = self._dice.choice(self._apis).url.replace("http", "ws")
        address = f"{url}/ws/jobs/{self._job_id}/?token={self._person.access}&since={since}"
        try:
            return await connect(address, ping_interval=None, open_timeout=20)
        except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
            await asyncio.sleep(0.1)  # that process is being started again
            return None

    async def _read(self, connection: ClientConnection, last: int | None = None) -> None:
        while last is None or not self.seen or self.seen[-1]["seq"] < last:
            event = json.loads(await connection.recv())
            if "seq" in event and event["kind"] != "synced":
                assert event["seq"] == len(self.seen) + 1, "events have neither gaps nor repetitions"
                self.seen.append(event)

    async def _leave(self, connection: ClientConnection) -> None:
        how = self._dice.choice(("closed", "reset", "half-open"))
        self.endings[how] += 1
        if how == "closed":
            await connection.close()
        elif how == "reset":
            _reset(connection)
        else:
            connection.transport.pause_reading()
            self._abandoned.append(connection)
            if len(self._abandoned) > HALF_OPEN // CLIENTS:
                _reset(self._abandoned.popleft())


def _reset(connection: ClientConnection) -> None:
    """End the TCP connection with RST instead of FIN."""
    end = connection.transport.get_extra_info("socket")
    with suppress(OSError):  # the server has ended it already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.transport.abort()


async def _restart(running: Processes, apis: list[Api], dice: random.Random, restarts: Counter[str]) -> None:
    """One API process after the other, asked to stop or killed."""
    while True:
        await asyncio.sleep(RESTART_EVERY_S)
        place = restarts.total() % len(apis)
        how = dice.choice((signal.SIGTERM, signal.SIGKILL))
        restarts[how.name] += 1
        await running.end(apis[place].process, how)
        apis[place] = await running.start_api(apis[place].port)


async def test_a_thousand_reconnects(tmp_path: Path) -> None:
    dice = random.Random(1)
    async with (
        open_processes(tmp_path) as running,
        open_house(running.postgres.url, running.valkey.url, tmp_path / "boxes") as house,
    ):
        apis = [await running.start_api(free_port()) for _ in range(2)]
        person = await running.person(apis[0].url)
        job_id = UUID((await person.post("/api/jobs/", 201, {"prompt": "A reading list."}))["id"])
        watchers = [Watcher(apis, person, job_id, dice) for _ in range(CLIENTS)]
        restarts: Counter[str] = Counter()

        async def talk() -> None:
            while True:
                await tell(house.resources, job_id, "word")
                await asyncio.sleep(1 / EVENTS_A_SECOND)

        async with beside(talk(), _restart(running, apis, dice, restarts)), asyncio.TaskGroup() as group:
            for watcher in watchers:
                group.create_task(watcher.come_and_go(RECONNECTS // CLIENTS))
        for place, api in enumerate(apis):
            if api.process.returncode is not None:
                apis[place] = await running.start_api(api.port)
        log = await stored(house.resources, job_id)
        async with asyncio.timeout(60):
            await asyncio.gather(*(watcher.catch_up(log[-1]["seq"]) for watcher in watchers))
        left = sum((watcher.endings for watcher in watchers), Counter[str]())
        print(f"\n{left.total()} reconnects {dict(left)}, {len(log)} events, API restarts {dict(restarts)}")
        assert all(watcher.seen == log for watcher in watchers), "each has seen exactly the log"
        await person.http.aclose()

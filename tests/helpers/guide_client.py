"""A client that is written only by the user's guide."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect

ORDER = [
    "collecting",
    "queued",
    "planning",
    "prd_ready",
    "ticketing",
    "tickets_ready",
    "building",
    "build_done",
]
KINDS = {"stageUpdate", "jobStatus", "agentDialogue", "prdReady", "ticketUpdate", "ticketReset", "error"}


class GuideClient:
    """A user with a session; `http` sends `Authorization: Bearer`."""

    def __init__(self, url: str, ws_url: str) -> None:
        self.ws_url = ws_url
        self.http = httpx.AsyncClient(base_url=url, timeout=30)
        self.access = ""

    async def enter(self) -> None:
        """Section 1: register, then log in."""
        account = {"email": f"{uuid4().hex}@example.org", "password": "a good password", "name": "Ada"}
        answer = await self.http.post("/api/auth/register/", json=account)
        assert answer.status_code == 201, answer.text
        answer = await self.http.post("/api/auth/login/", json=account)
        assert answer.status_code == 200
        assert {"access", "refresh"} <= set(answer.json())
        self.access = answer.json()["access"]
        self.http.headers["Authorization"] = f"Bearer {self.access}"

    async def get(self, address: str, /, **params: Any) -> Any:
        answer = await self.http.get(address, params=params)
        assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text}"
        return answer.json()

    async def post(self, path: str, status: int, body: Any = None) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    @asynccontextmanager
    async def socket(self, job_id: str, query: str = "") -> AsyncIterator["GuideSocket"]:
        address = f"{self.ws_url}/ws/jobs/{job_id}/?token={self.access}{query}"
        async with connect(address) as connection:
            yield GuideSocket(connection)


class GuideSocket:
    """The socket of a job; `seen` has all events that came, `progress` what was said in between."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []
        self.progress: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.connection.recv())
        while event["kind"] == "progress":
            self.progress.append(event)
            event = json.loads(await self.connection.recv())
        self.seen.append(event)
        return event

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Read up to the first event of `kind` with these fields."""
        while True:
            event = await self.next()
            if event["kind"] == kind and all(event.get(name) == value for name, value in fields.items()):
                return event

    async def say(self, content: str) -> None:
        await self.connection.send(json.dumps({"kind": "chat", "content": content}))

    def statuses(self) -> list[str]:
        return [event["status"] for event in self.seen if event["kind"] == "jobStatus"]

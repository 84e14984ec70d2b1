"""An app in a real box, used through the preview of a real web process."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from websockets.asyncio.client import ClientConnection, connect

from app.domain.workspace import MANIFEST
from app.runtime.workspace import Workspace
from tests.helpers.service import Person, Service

SERVER = Path(__file__).with_name("app_in_box.py").read_bytes()
START = "exec python3 server.py"


@dataclass
class Shown:
    """A job of the user Ada whose app has a preview."""

    service: Service
    owner: Person
    job_id: str
    url: str = ""

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def port(self) -> int:
        found = urlsplit(self.service.url).port
        assert found is not None
        return found

    async def preview(self, owner: Person | None = None) -> httpx.Response:
        return await (owner or self.owner).client.post(f"/api/jobs/{self.job_id}/preview/")

    async def open(self) -> str:
        """Ask for the preview's address, and use it from now on."""
        answer = await self.preview()
        assert answer.status_code == 200, answer.text
        self.url = answer.json()["url"]
        return self.url

    async def status(self) -> dict[str, Any]:
        answer = await self.owner.client.get(f"/api/jobs/{self.job_id}/containers/status")
        found: dict[str, Any] = answer.json()
        return found

    def browser(self, host: str | None = None, **options: Any) -> httpx.AsyncClient:
        """A client of the preview's origin. It connects to the web process without resolving the name."""
        headers = {"Host": host or self.host, **options.pop("headers", {})}
        return httpx.AsyncClient(
            base_url=self.service.url, headers=headers, timeout=20, verify=False, **options
        )

    async def get(self, path: str = "/", **options: Any) -> httpx.Response:
        async with self.browser() as browser:
            return await browser.get(path, **options)

    @asynccontextmanager
    async def socket(self, path: str = "/ws", **options: Any) -> AsyncIterator[ClientConnection]:
        options = {"proxy": None, "compression": None, "host": "127.0.0.1", "port": self.port, **options}
        async with connect(f"ws://{self.host}{path}", **options) as connection:
            yield connection

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[Workspace]:
        workspace = await self.service.resources.runtime.attach(UUID(self.job_id))
        yield workspace
        await workspace.close()


@asynccontextmanager
async def build(service: Service, owner: Person) -> AsyncIterator[Shown]:
    """A job with an app whose preview was not asked for yet."""
    job_id = await owner.job()
    workspace = await service.resources.runtime.attach(UUID(job_id), create=True)
    await workspace.save("server.py", SERVER)
    manifest = {"start": START, "port": 8000, "health": "/"}
    await workspace.save(MANIFEST, json.dumps(manifest).encode())
    await workspace.close()
    yield Shown(service, owner, job_id)
    await service.resources.runtime.destroy(UUID(job_id))

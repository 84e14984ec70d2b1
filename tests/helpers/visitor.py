"""A client's browser at the preview of an app. It does as our pages and their headers say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

EVERY_S = 0.2


@dataclass
class Visitor:
    """`api` is a client of the service with the owner's session. `addresses` are all that the preview has
    had, `acknowledged` the entries that the app has answered with 201, in order; `waited` counts the times
    that it was told to come back in a moment, `tried` the entries of `entering`."""

    api: httpx.AsyncClient
    job_id: str
    addresses: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    waited: int = 0
    tried: int = 0

    async def open(self) -> httpx.Response:
        """Ask for the preview's address, which starts the app if it does not run."""
        answer = await self.api.post(f"/api/jobs/{self.job_id}/preview/")
        if answer.status_code == 200 and (address := answer.json()["url"]) not in self.addresses[-1:]:
            self.addresses.append(address)
        return answer

    async def ask(self, path: str, body: str | None = None) -> httpx.Response:
        """GET, or POST of `body`, at the newest address. The name of the host is not resolved."""
        async with httpx.AsyncClient(base_url=self.api.base_url, timeout=20, verify=False) as browser:
            headers = {"Host": urlsplit(self.addresses[-1]).netloc}
            return await browser.request(
                "GET" if body is None else "POST", path, headers=headers, content=body
            )

    async def enter(self, entry: str) -> bool:
        """Post an entry; whether it was acknowledged. If not: wait as long as the answer says, or open the
        preview again where it says that there is none."""
        try:
            answer = await self.ask("/entries", entry)
            if answer.status_code == 201:
                self.acknowledged.append(entry)
                return True
            if answer.status_code in (404, 502):
                answer = await self.open()
        except httpx.TransportError:
            return False  # the connection broke: nobody knows whether the entry is there
        if pause := answer.headers.get("Retry-After"):
            self.waited += 1
            await asyncio.sleep(float(pause))
        return False

    @asynccontextmanager
    async def entering(self) -> AsyncIterator[None]:
        """Make a new entry every `EVERY_S` seconds, whatever becomes of the one before."""
        over = asyncio.Event()

        async def enter() -> None:
            while not over.is_set():
                self.tried += 1
                await self.enter(f"entry-{self.tried}")
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), EVERY_S)

        task = asyncio.create_task(enter())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            over.set()  # it is not cancelled, so that its last entry is answered
            await task

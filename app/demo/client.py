"""A client of the public API: REST calls and the socket of a job."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

Json = dict[str, Any]

QUIET: Json = {"kind": "quiet"}
"""Stands for "no event for a while" among the events."""

FINAL_CLOSES = frozenset({1000, 1008, 4001, 4003})
"""Close codes after which connecting again is pointless."""

RECONNECT_S = 60.0
RECONNECT_PAUSE_S = 0.5


class Refused(Exception):
    """The service has refused a call or does not answer. The message is for people."""


class Client:
    """One throw-away user. `url` is the service's address, without a slash at its end. The service is on this
    machine, so proxies of the environment are not for it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def register(self) -> tuple[str, str]:
        """Register the user and use its token from now on; returns its email and password."""
        email, password = f"demo-{secrets.token_hex(4)}@example.org", secrets.token_urlsafe(12)
        body = {"email": email, "password": password, "name": "You"}
        session = await self._call("POST", "/api/auth/register/", body)
        self._http.headers["Authorization"] = f"Bearer {session['access']}"
        return email, password

    async def model(self) -> str:
        """The model of the agents."""
        model: str = (await self._call("GET", "/readyz"))["model"]
        return model

    async def create_job(self, prompt: str) -> Json:
        job: Json = await self._call("POST", "/api/jobs/", {"prompt": prompt})
        return job

    async def job(self, job_id: str) -> Json:
        job: Json = await self._call("GET", f"/api/jobs/{job_id}/")
        return job

    async def start(self, job_id: str) -> None:
        """Have Client Relations stop asking."""
        await self._call("POST", f"/api/jobs/{job_id}/start/")

    async def tickets(self, job_id: str) -> list[Json]:
        tickets: list[Json] = await self._call("GET", f"/api/tickets/?job_id={job_id}")
        return tickets

    async def evidence(self, job_id: str) -> list[Json]:
        evidence: list[Json] = await self._call("GET", f"/api/jobs/{job_id}/evidence/")
        return evidence

    async def files(self, job_id: str) -> list[Json]:
        """The workspace's tree: the nodes below `/app`."""
        listing = await self._call("GET", f"/api/jobs/{job_id}/files/structure/?path=/app&limit=200")
        nodes: list[Json] = listing["structure"]
        return nodes

    def socket(self, job_id: str) -> "JobSocket":
        address = f"ws{self._url.removeprefix('http')}/ws/jobs/{job_id}/"
        return JobSocket(address, {"Authorization": self._http.headers["Authorization"]})

    async def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Refused(f"{self._url} does not answer ({type(error).__name__}).") from error
        if answer.is_error:
            raise Refused(_detail(answer))
        return answer.json()


class JobSocket:
    """The events of a job from the first one on, across lost connections."""

    def __init__(self, address: str, headers: dict[str, str]) -> None:
        self._address, self._headers = address, headers
        self._seq = 0
        self._link: ClientConnection | None = None

    async def say(self, content: str) -> None:
        if self._link:
            await self._link.send(json.dumps({"kind": "chat", "content": content}))

    async def events(self, quiet_s: float) -> AsyncGenerator[Json, None]:
        """Each event once and in order, and QUIET whenever there was none for `quiet_s`. Raises Refused if
        the service closes the socket for good or does not answer for a minute."""
        lost_at = time.monotonic()
        while time.monotonic() - lost_at < RECONNECT_S:
            try:
                async with connect(
                    f"{self._address}?since={self._seq}",
                    additional_headers=self._headers,
                    max_size=None,
                    proxy=None,
                ) as self._link:
                    async for event in self._read(self._link, quiet_s):
                        lost_at = time.monotonic()
                        yield event
            except ConnectionClosed as closed:
                if closed.rcvd and closed.rcvd.code in FINAL_CLOSES:
                    raise Refused(f"The service closed the stream ({closed.rcvd.code}).") from closed
            except (OSError, WebSocketException):
                pass  # the service may be restarting; the log has what is missed
            await asyncio.sleep(RECONNECT_PAUSE_S)
        raise Refused("The service has been away for a minute.")

    async def _read(self, link: ClientConnection, quiet_s: float) -> AsyncIterator[Json]:
        while True:
            try:
                event: Json = json.loads(await asyncio.wait_for(link.recv(), quiet_s))
            except TimeoutError:
                yield QUIET
                continue
            self._seq = event.get("seq", self._seq)
            yield event


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code} to {answer.request.url.path}."

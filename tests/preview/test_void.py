"""What makes a preview's address invalid. All invalid addresses give the same answer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from websockets.exceptions import ConnectionClosed

from app.domain.workspace import MANIFEST, Manifest
from app.main import Boardroom
from tests.helpers.parts import Parts
from tests.helpers.previewed import START, Shown, build
from tests.helpers.service import Person, Service, serve
from tests.helpers.serving import serving
from tests.helpers.waiting import until

UNKNOWN = "a" * 32


async def execute(service: Service, statement: str, **values: Any) -> None:
    async with service.resources.unit() as unit:
        await unit.session.execute(text(statement), values)


def same(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.content, {k: v for k, v in answer.headers.items() if k != "date"}


async def nothing_here(shown: Shown, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    async with shown.browser(f"{UNKNOWN}.localhost:{shown.port}") as browser:
        found = same(await browser.request(method, "/"))
    assert found[0] == 404
    return found


async def expire(shown: Shown) -> None:
    await execute(shown.service, "update previews set expires_at = clock_timestamp() - interval '1 s'")


async def log_out(shown: Shown) -> None:
    answer = await shown.owner.client.post(
        "/api/auth/logout/", json={"refresh": shown.owner.session["refresh"]}
    )
    assert answer.status_code == 204


async def delete_job(shown: Shown) -> None:
    assert (await shown.owner.client.delete(f"/api/jobs/{shown.job_id}/")).status_code == 204


async def delete_user(shown: Shown) -> None:
    await execute(shown.service, "delete from users where id = :id", id=shown.owner.id)


async def stop_box(shown: Shown) -> None:
    answer = await shown.owner.client.post(f"/api/jobs/{shown.job_id}/containers/stop")
    assert answer.status_code == 200


async def let_sleep(shown: Shown) -> None:
    await shown.service.resources.runtime.stop(UUID(shown.job_id))


WAYS = [expire, log_out, delete_job, delete_user, stop_box, let_sleep]


@pytest.mark.parametrize("way", WAYS)
async def test_void(own: Shown, way: Any) -> None:
    assert (await own.get()).status_code == 200
    await way(own)
    assert same(await own.get()) == await nothing_here(own)


@pytest.mark.parametrize("way", WAYS)
async def test_open_requests_and_sockets_are_ended(own: Shown, way: Any) -> None:
    """Running requests and sockets end within five seconds."""
    async with own.socket() as socket, own.browser() as browser, browser.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: one"
        await way(own)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in lines:
                    pass


async def test_a_void_address_wakes_nothing(own: Shown) -> None:
    await let_sleep(own)
    assert (await own.get()).status_code == 404
    status = await own.status()
    assert (status["state"], status["preview_url"]) == ("asleep", None)


async def test_another_start_of_the_app_has_another_address(own: Shown) -> None:
    first, host = own.url, own.host
    await stop_box(own)
    assert (await own.preview()).json()["code"] == "container_stopped"
    assert (await own.owner.client.post(f"/api/jobs/{own.job_id}/containers/start")).status_code == 200
    second = (await own.status())["preview_url"]
    assert second not in (None, first)
    async with own.browser(host) as browser:
        assert (await browser.get("/")).status_code == 404
    assert await own.open() == second
    assert (await own.get()).status_code == 200


async def test_an_app_that_is_started_again_in_the_same_box(own: Shown) -> None:
    async with own.workspace() as workspace:
        await workspace.stop_app()
    gone = same(await own.get())
    assert gone == await nothing_here(own)
    assert (await own.status())["preview_url"] is None
    async with own.workspace() as workspace:
        manifest = Manifest.model_validate_json((await workspace.read(MANIFEST)).content)
        assert (await workspace.start_app(manifest)).answering
    assert same(await own.get()) == gone  # although no new address was asked for yet
    first = own.url
    assert await own.open() != first


async def test_a_crash_that_the_box_mends_keeps_the_address(own: Shown) -> None:
    assert (await own.get("/die")).status_code == 502
    async with asyncio.timeout(20):
        while (answer := await own.get()).status_code != 200:
            assert answer.status_code == 503
            assert '<meta http-equiv="refresh" content="1">' in answer.text
            assert answer.headers["retry-after"] == "1"


async def test_each_session_has_its_own_address(own: Shown) -> None:
    other = await own.service.person("Grace")
    assert (await own.preview(other)).status_code == 404
    await other.client.aclose()
    again = await second_session(own)
    url = (await own.preview(again)).json()["url"]
    assert url != own.url
    await log_out(own)
    own.url = url
    assert (await own.get()).status_code == 200
    await again.client.aclose()


async def second_session(shown: Shown) -> Person:
    other = await shown.service.person()
    await execute(
        shown.service,
        "update refresh_families set user_id = :ada where user_id = :other",
        ada=shown.owner.id,
        other=other.id,
    )
    tokens = shown.service.application.state.house.tokens
    session_id = tokens.read_access(other.session["access"]).session_id
    access = tokens.access(shown.owner.id, session_id)
    return Person(shown.owner.id, "", {}, shown.service.client(headers={"Authorization": f"Bearer {access}"}))


async def test_nothing_to_start(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    nothing = Shown(service, ada, job_id)
    answer = await nothing.preview()
    assert (answer.status_code, answer.json()["code"]) == (404, "container_not_found")
    workspace = await service.resources.runtime.attach(UUID(job_id), create=True)
    await workspace.close()
    answer = await nothing.preview()
    assert (answer.status_code, answer.json()["code"]) == (409, "no_app")
    await service.resources.runtime.destroy(UUID(job_id))


@asynccontextmanager
async def beside(service: Service) -> AsyncIterator[str]:
    """The address of a second web process on the same parts."""
    application = Boardroom(service.application.settings)
    async with serving(application) as (_, port):
        yield f"http://127.0.0.1:{port}"


async def test_two_web_processes(own: Shown) -> None:
    async with (
        beside(own.service) as url,
        httpx.AsyncClient(base_url=url, headers={"Host": own.host}) as browser,
    ):
        assert "Reading list" in (await browser.get("/")).text
        await log_out(own)
        assert (await browser.get("/")).status_code == 404


async def test_only_use_keeps_a_box_awake(parts: Parts, tmp_path: Path) -> None:
    async with (
        serve(parts, tmp_path, workspace_idle_s=1) as service,
        person_of(service) as ada,
        build(service, ada) as shown,
    ):
        await shown.open()
        async with shown.browser() as browser, browser.stream("GET", "/events") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "data: one"
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                assert (await shown.status())["state"] == "running"

        async def asleep() -> bool:
            return bool((await shown.status())["state"] == "asleep")

        await until(asleep)  # although a client asks for the status all the time
        assert (await shown.get()).status_code == 404


@asynccontextmanager
async def person_of(service: Service) -> AsyncIterator[Person]:
    person = await service.person()
    yield person
    await person.client.aclose()


async def test_a_later_change_of_the_manifest_does_not_count(own: Shown) -> None:
    manifest = {"start": START, "port": 8000, "health": "/"}
    body = {"path": MANIFEST, "content": json.dumps(manifest), "encoding": "utf-8"}
    assert (await own.owner.client.post(f"/api/jobs/{own.job_id}/files/save", json=body)).status_code == 200
    async with own.workspace() as workspace:
        await workspace.stop_app()
        await workspace.run('echo \'{"start": "exit 1"}\' > boardroom.json', timeout_s=10)
    await own.open()
    assert (await own.get()).status_code == 200

"""Copies of an app's data over HTTP, with a real box whose app serves its folder."""

import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.actions.app_data import Copying
from app.domain.copies import LAST
from app.domain.errors import Conflict
from app.domain.job import Status
from app.runtime.live_calls import LiveCalls
from app.store import boxes
from tests.helpers.boxes import output_of
from tests.helpers.rows import advance_job
from tests.helpers.service import Person, Service

MANIFEST = '{"start": "exec python3 -m http.server $PORT", "port": 8000, "health": "/"}'


class Shop:
    """A job of Ada's whose app runs and has one entry, milk."""

    def __init__(self, service: Service, owner: Person, job_id: str) -> None:
        self.service, self.client, self.job_id = service, owner.client, job_id
        self.here = f"/api/jobs/{job_id}/data/"

    async def copy(self) -> dict[str, Any]:
        made = await self.client.post(self.here)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    async def restore(self, copy_id: str) -> httpx.Response:
        return await self.client.post(f"{self.here}{copy_id}/restore/")

    async def files(self, copy_id: str) -> dict[str, str]:
        answer = await self.client.get(f"{self.here}{copy_id}/")
        assert answer.headers["content-type"] == "application/x-tar"
        assert f"{copy_id}.tar" in answer.headers["content-disposition"]
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            parts = {each.name: archive.extractfile(each) for each in archive if each.isfile()}
            return {name: part.read().decode() for name, part in parts.items() if part is not None}

    async def shell(self, command: str) -> str:
        box = await self.service.resources.runtime.attach(UUID(self.job_id))
        try:
            return await output_of(box, command)
        finally:
            await box.close()

    async def answers(self) -> str:
        """What the app answers for its entries."""
        box = await self.service.resources.runtime.attach(UUID(self.job_id))
        try:
            assert not (await box.app_status()).held
            return (await box.request("GET", "/data/list")).body
        finally:
            await box.close()


@pytest.fixture
async def shop(service: Service, ada: Person) -> AsyncIterator[Shop]:
    job_id = await ada.job()
    box = await service.resources.runtime.attach(UUID(job_id), create=True)
    await box.save("/app/boardroom.json", MANIFEST.encode())
    await box.head()
    await output_of(box, "mkdir data; printf milk > data/list")
    await box.close()
    assert (await ada.client.post(f"/api/jobs/{job_id}/containers/start")).status_code == 200
    yield Shop(service, ada, job_id)
    await service.resources.runtime.destroy(UUID(job_id))


async def test_a_copy_is_listed_downloaded_and_put_back(shop: Shop) -> None:
    made = await shop.copy()
    assert (made["cause"], made["entries"]) == ("asked", 2)
    assert await shop.files(made["id"]) == {"data/list": "milk"}
    await shop.shell("printf bread > data/list; printf more > data/more")
    answer = await shop.restore(made["id"])
    assert answer.status_code == 200, answer.text
    assert await shop.answers() == "milk"
    assert await shop.shell("ls data") == "list"
    before = answer.json()
    assert before["cause"] == "restore"
    assert await shop.files(before["id"]) == {"data/list": "bread", "data/more": "more"}
    assert (await shop.client.get(shop.here)).json() == [before, made]


async def test_an_app_that_does_not_run_is_not_started(shop: Shop) -> None:
    made = await shop.copy()
    await shop.client.post(f"/api/jobs/{shop.job_id}/containers/stop")
    assert (await shop.restore(made["id"])).json()["code"] == "container_stopped"
    await shop.service.resources.runtime.stop(UUID(shop.job_id))
    box = await shop.service.resources.runtime.attach(UUID(shop.job_id))
    await shop.client.post(f"/api/jobs/{shop.job_id}/containers/start")
    await box.stop_app()
    assert (await shop.restore(made["id"])).status_code == 200
    assert (await box.app_status()).state == "none"
    await box.close()


async def test_the_oldest_copy_can_be_put_back(shop: Shop) -> None:
    oldest = await shop.copy()
    await shop.shell("printf bread > data/list")
    for _ in range(LAST - 1):
        await shop.copy()
    assert (await shop.restore(oldest["id"])).status_code == 200
    assert await shop.answers() == "milk"


async def test_nothing_is_copied_or_put_back_while_a_run_is_at_work(shop: Shop) -> None:
    made = await shop.copy()
    await shop.shell("printf bread > data/list")
    await advance_job(shop.service.resources, shop.job_id, Status.QUEUED)
    for answer in (await shop.restore(made["id"]), await shop.client.post(shop.here)):
        assert (answer.status_code, answer.json()["code"]) == (409, "job_running")
    assert await shop.answers() == "bread"
    assert (await shop.client.get(shop.here)).json() == [made]


async def test_data_stay_if_a_copy_cannot_be_put_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await shop.copy()
    await shop.shell("printf bread > data/list")
    put_back, calls = LiveCalls.put_back, list[str]()

    async def breaks_once(self: LiveCalls, commit: str | None) -> None:
        calls.append("")
        await put_back(self, commit)
        if len(calls) == 1:
            raise Conflict("The workspace is full.", code="workspace_full")

    monkeypatch.setattr(LiveCalls, "put_back", breaks_once)
    answer = await shop.restore(made["id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "workspace_full")
    assert await shop.answers() == "bread"
    async with shop.service.resources.look() as session:
        assert await boxes.going_live(session, UUID(shop.job_id)) is None


async def test_data_that_are_too_large_are_neither_stored_nor_replaced(shop: Shop) -> None:
    made = await shop.copy()
    await shop.shell("head -c 3000000 /dev/urandom > data/list")
    house = shop.service.application.state.house
    shop.service.application.state.house = replace(house, copying=Copying(1 << 20))
    try:
        for answer in (await shop.client.post(shop.here), await shop.restore(made["id"])):
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
            assert "more than 1 MiB" in answer.json()["detail"]
    finally:
        shop.service.application.state.house = house
    assert await shop.shell("stat -c %s data/list") == "3000000"
    assert (await shop.client.get(shop.here)).json() == [made]

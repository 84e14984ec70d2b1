"""Previews of an app in a container: requests, streams and WebSockets through the relay."""

from collections.abc import AsyncIterator

import pytest

from tests.helpers.boxes import unavailable
from tests.helpers.parts import Parts
from tests.helpers.previewed import Shown, build
from tests.helpers.service import serve


@pytest.fixture(scope="session")
async def contained(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    async with serve(
        parts, tmp_path_factory.mktemp("contained"), cors_origins=None, workspace_runtime="docker"
    ) as service:
        found = await service.resources.runtime.examine()
        if not found.ok:
            unavailable(f"{found.detail} {found.remedy}")
        person = await service.person("Ada")
        async with build(service, person) as shown:
            yield shown
        await person.client.aclose()


async def test_an_app_in_a_container(contained: Shown) -> None:
    await contained.open()
    status = await contained.status()
    assert (status["state"], status["image"], status["preview_url"]) == (
        "running",
        "boardroom-workspace",
        contained.url,
    )
    assert "Reading list" in (await contained.get()).text
    assert (await contained.get("/large")).content == bytes(range(256)) * 4096
    async with contained.browser() as browser, browser.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: one"  # while the app is still talking
        await contained.get("/release")
        assert [line async for line in lines] == ["", "data: two", ""]
    async with contained.socket() as socket:
        await socket.send("x" * 60_000)
        assert await socket.recv() == "x" * 60_000
        await socket.send("watch")
        saved = {"path": "watched", "content": "1", "encoding": "utf-8"}
        path = f"/api/jobs/{contained.job_id}/files/save"
        assert (await contained.owner.client.post(path, json=saved)).status_code == 200
        assert await socket.recv() == "reload"
    await contained.get("/die")
    while (await contained.get()).status_code != 200:  # the box starts it again
        continue

"""Containers and files over HTTP, with a real box."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.api.wire import http_protocol
from app.domain.workspace import MAX_SAVE_BYTES
from app.runtime.attachments import SharedAttachment
from app.runtime.local.runtime import LocalRuntime
from tests.api.connections import MIB, connected, rest
from tests.helpers.service import Person, Service

MANIFEST = '{"start": "exec python3 -m http.server $PORT", "port": 8000, "health": "/"}'


@dataclass
class Built:
    """A job of the user Ada that has a workspace."""

    service: Service
    owner: Person
    job_id: str

    async def get(self, call: str, **query: Any) -> httpx.Response:
        return await self.owner.client.get(f"/api/jobs/{self.job_id}/{call}", params=query)

    async def post(self, call: str, **body: Any) -> httpx.Response:
        return await self.owner.client.post(f"/api/jobs/{self.job_id}/{call}", json=body or None)

    async def save(self, path: str, content: str, **more: Any) -> httpx.Response:
        return await self.post("files/save", path=path, content=content, encoding="utf-8", **more)

    async def state(self) -> str:
        state: str = (await self.get("containers/status")).json()["state"]
        return state


@pytest.fixture
async def built(service: Service, ada: Person) -> AsyncIterator[Built]:
    job_id = await ada.job()
    box = await service.resources.runtime.attach(UUID(job_id), create=True)
    made = await box.run(
        "mkdir -p src node_modules/x && echo hello > README.md && echo 'let a' > src/a.ts && "
        "echo x > node_modules/x/y && printf '\\377\\376' > binary && ln -s /etc/passwd link && "
        "ln -s README.md inner && mkfifo pipe",
        timeout_s=10,
    )
    assert made.exit_code == 0, made.output
    await box.close()
    yield Built(service, ada, job_id)
    await service.resources.runtime.destroy(UUID(job_id))


async def test_nothing_built_yet(ada: Person) -> None:
    job_id = await ada.job()
    here = f"/api/jobs/{job_id}"
    assert (await ada.client.get(f"{here}/containers/status")).json()["state"] == "none"
    for answer in (
        await ada.client.post(f"{here}/containers/start"),
        await ada.client.post(f"{here}/containers/stop"),
        await ada.client.get(f"{here}/files/structure/"),
        await ada.client.get(f"{here}/files/archive/"),
    ):
        assert answer.status_code == 404
        assert answer.json()["detail"] == "Container not found: nothing has been built yet."


async def test_the_tree(built: Built) -> None:
    answer = await built.get("files/structure/")
    assert answer.status_code == 200
    tree = answer.json()
    assert (tree["path"], tree["truncated"]) == ("/app", False)
    names = [node["name"] for node in tree["structure"]]
    folders = [node for node in tree["structure"] if node["type"] == "dir"]
    assert names[: len(folders)] == sorted(folder["name"] for folder in folders)
    by_name = {node["name"]: node for node in tree["structure"]}
    assert [node["path"] for node in by_name["src"]["children"]] == ["/app/src/a.ts"]
    assert by_name["node_modules"]["children"] == []
    assert "children" not in by_name["README.md"]
    assert (await built.get("files/structure/", path="src")).json()["path"] == "/app/src"
    assert (await built.get("files/structure/", limit=1)).json()["truncated"] is True
    assert (await built.get("files/structure/", limit=10**9)).json()["truncated"] is False
    refused = await built.get("files/structure/", path="README.md")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_a_folder")


async def test_a_file(built: Built) -> None:
    answer = await built.get("files/content/", path="/app/README.md")
    file = answer.json()
    assert (file["path"], file["content"], file["size"]) == ("/app/README.md", "hello\n", 6)
    for path in ("README.md", "inner", "src/../README.md"):
        assert (await built.get("files/content/", path=path)).json()["content"] == "hello\n", path
    raw = await built.get("files/content/", path="binary", download=1)
    assert (raw.status_code, raw.content) == (200, b"\xff\xfe")
    assert raw.headers["content-disposition"] == "attachment; filename*=UTF-8''binary"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("absent", 404, "file_not_found"),
        ("src", 409, "not_a_file"),
        ("pipe", 409, "not_a_file"),
        ("binary", 415, "not_text"),
        ("link", 403, "outside_workspace"),
        ("../etc/passwd", 403, "outside_workspace"),
        ("/etc/passwd", 403, "outside_workspace"),
        ("/app-x/y", 403, "outside_workspace"),
        ("a\nb", 422, "bad_path"),
        ("x" * 300, 422, "bad_path"),
    ],
)
async def test_errors_of_reading(built: Built, path: str, status: int, code: str) -> None:
    answer = await built.get("files/content/", path=path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if code == "file_not_found":
        assert answer.json()["detail"] == "File not found: /app/absent."
    if code != "not_text":
        download = await built.get("files/content/", path=path, download=1)
        assert (download.status_code, download.json()["code"]) == (status, code)


async def test_a_large_file_is_only_downloaded(built: Built) -> None:
    box = await built.service.resources.runtime.attach(UUID(built.job_id))
    await box.run("head -c 3000000 /dev/zero > large", timeout_s=10)
    await box.close()
    assert (await built.get("files/content/", path="large")).status_code == 413
    assert len((await built.get("files/content/", path="large", download=1)).content) == 3_000_000


async def test_a_download_that_is_not_read_does_not_keep_its_box_awake(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_S", 0.2)
    box = await built.service.resources.runtime.attach(UUID(built.job_id))
    await box.run("truncate -s 200M large", timeout_s=10)
    await box.close()
    let_go = asyncio.Event()
    close = SharedAttachment.close

    async def told(attachment: SharedAttachment) -> None:
        let_go.set()
        await close(attachment)

    monkeypatch.setattr(SharedAttachment, "close", told)
    async with connected(built.service) as (reader, writer):
        writer.write(
            f"GET /api/jobs/{built.job_id}/files/content/?path=large&download=1 HTTP/1.1\r\n"
            f"Host: localhost\r\nAuthorization: Bearer {built.owner.session['access']}\r\n\r\n".encode()
        )
        await let_go.wait()
        assert len(await rest(reader)) < 200 * MIB


async def test_save(built: Built) -> None:
    content = "const ü = '📚';\r\n"
    answer = await built.save("/app/new/folder/b.ts", content)
    assert answer.status_code == 200, answer.text
    saved = answer.json()
    assert (saved["path"], saved["bytes_written"]) == ("/app/new/folder/b.ts", len(content.encode()))
    read = (await built.get("files/content/", path="new/folder/b.ts")).json()
    assert (read["content"], read["etag"]) == (content, saved["etag"])
    assert (await built.save("new/folder/b.ts", "2", etag=saved["etag"])).status_code == 200
    stale = await built.save("new/folder/b.ts", "3", etag=saved["etag"])
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_etag")
    log = await history(built)
    assert "Client" in log


async def history(built: Built) -> str:
    box = await built.service.resources.runtime.attach(UUID(built.job_id))
    await box.head()  # a save is committed after its answer, but before this call
    result = await box.run("git log --format='%an %s'", timeout_s=10)
    await box.close()
    return result.output


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("a", "x" * (MAX_SAVE_BYTES + 1), 413),
        ("a", "ü" * (MAX_SAVE_BYTES // 2 + 1), 413),
        ("src", "x", 409),
        ("pipe", "x", 409),
        ("link", "x", 403),
        ("../x", "x", 403),
        ("a\0b", "x", 422),
        ("a", "\0", 422),
    ],
)
async def test_errors_of_saving(built: Built, path: str, content: str, status: int) -> None:
    answer = await built.save(path, content)
    assert answer.status_code == status, answer.text


async def test_other_encodings(built: Built) -> None:
    answer = await built.post("files/save", path="a", content="x", encoding="latin-1")
    assert answer.status_code == 422
    assert (await built.post("files/save", path="a", content="x" * MAX_SAVE_BYTES)).status_code == 200


async def test_the_archive(built: Built) -> None:
    answer = await built.get("files/archive/")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        names = archive.namelist()
        assert archive.read("src/a.ts") == b"let a\n"
    assert not any(name.startswith(("node_modules/", ".git/", "/")) for name in names)


async def test_start_and_stop(built: Built) -> None:
    assert await built.state() == "running"
    await built.save("boardroom.json", MANIFEST)
    for _ in range(2):
        started = await built.post("containers/start")
        assert started.json() == {"detail": "Job container is running."}
    box = await built.service.resources.runtime.attach(UUID(built.job_id))
    assert (await box.app_status()).answering
    await box.close()
    for _ in range(2):
        stopped = await built.post("containers/stop")
        assert (stopped.status_code, stopped.json()) == (200, {"detail": "Job container stopped."})
    assert await built.state() == "stopped"
    for answer in (await built.get("files/structure/"), await built.save("a", "x")):
        assert (answer.status_code, answer.json()["code"]) == (409, "container_stopped")
        assert answer.json()["detail"] == "Container is not running. Start it with containers/start."
    assert (await built.post("containers/start")).status_code == 200
    status = (await built.get("containers/status")).json()
    assert status["state"] == "running"
    assert ".localhost:" in status["preview_url"]
    assert (await built.get("files/content/", path="README.md")).status_code == 200


async def test_a_sleeping_container_is_woken_by_a_read(built: Built) -> None:
    await built.service.resources.runtime.stop(UUID(built.job_id))
    assert await built.state() == "asleep"
    assert (await built.get("files/content/", path="README.md")).status_code == 200
    assert await built.state() == "running"


async def test_while_the_builder_is_at_work(built: Built) -> None:
    runtime = built.service.resources.runtime
    worker = await runtime.attach(UUID(built.job_id), fence=1)
    for answer in (await built.save("a", "x"), await built.post("containers/stop")):
        assert (answer.status_code, answer.json()["code"]) == (409, "job_running")
    assert (await built.get("files/content/", path="README.md")).status_code == 200
    await worker.close()
    assert (await built.save("a", "x")).status_code == 200


async def test_a_stopped_manifest_starts_nothing(built: Built) -> None:
    await built.save("boardroom.json", "nonsense")
    assert (await built.post("containers/start")).status_code == 200


async def test_many_reads_at_once(built: Built) -> None:
    answers = await asyncio.gather(*(built.get("files/content/", path="README.md") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}


async def test_where_no_box_can_be_made(service: Service, ada: Person, tmp_path: Path) -> None:
    job_id = await ada.job()
    house = service.application.state.house
    runtime = LocalRuntime(tmp_path, bwrap="/nowhere/bwrap")
    service.application.state.house = replace(house, resources=replace(house.resources, runtime=runtime))
    try:
        answer = await ada.client.post(f"/api/jobs/{job_id}/containers/start")
    finally:
        service.application.state.house = house
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_down")
    assert answer.json()["detail"] == "Container engine is not reachable."

"""The app's data: what is one, how it is copied beside a running app, sent out, taken in and put back."""

import io
import tarfile
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.domain.errors import NotFound, TooLarge
from app.domain.workspace import Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import Commit, Workspace
from tests.helpers.boxes import output_of

SHIPPED = {"main.py": "code", "sample.json": "shipped", ".gitignore": "data/\nnotes.json\n"}


@pytest.fixture
async def head(workspace: Workspace) -> Commit:
    for path, text in SHIPPED.items():
        await workspace.save(f"/app/{path}", text.encode())
    return await workspace.commit("Begin", "Builder")


async def whole(archive: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in archive])


async def again(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


async def tree(workspace: Workspace) -> str:
    """Every entry below /app with its kind, mode, target and size, and the digests of files."""
    listed = "find . -path ./.git -prune -o -not -name . -printf '%P %y %m %l\\n' | sort"
    sums = "find . -path ./.git -prune -o -type f -size -1000k -exec md5sum {} + | sort -k 2"
    return await output_of(workspace, f"{listed}; {sums}")


async def test_data_is_what_neither_the_commit_nor_an_install_made(
    workspace: Workspace, head: Commit
) -> None:
    await output_of(
        workspace,
        "mkdir -p data/deep node_modules/x src/__pycache__ empty; echo 1 > data/deep/app.db;"
        "echo 2 > notes.json; echo 3 > other.txt; echo changed > sample.json;"
        "touch node_modules/x/i.js src/__pycache__/a.pyc;"
        "ln -s data/deep link; mkfifo pipe",
    )
    made = await workspace.set_aside(head.sha)
    with tarfile.open(fileobj=io.BytesIO(await whole(workspace.aside()))) as archive:
        names = {member.name for member in archive if not member.isdir()}
        folders = {member.name for member in archive if member.isdir()}
    assert names == {"data/deep/app.db", "notes.json", "other.txt", "sample.json", "link"}
    assert folders == {"data", "data/deep", "src", "empty"}
    assert (made.entries, made.bytes) == (9, 2 + 2 + 2 + 8)


async def test_a_copy_is_put_back_whole(workspace: Workspace, head: Commit) -> None:
    await output_of(
        workspace,
        "mkdir -p data/deep empty; echo 1 > data/deep/app.db; ln -s data/deep link;"
        "echo changed > sample.json; chmod 600 data/deep/app.db; echo x > file; chmod 000 file",
    )
    before = await tree(workspace)
    await workspace.set_aside(head.sha)
    await output_of(
        workspace,
        "chmod 600 file; rm -r data file empty link; mkdir file link; echo y > file/y; echo new > data;"
        "echo z > z; mkdir -p late/er; echo again > sample.json",
    )
    assert await tree(workspace) != before
    await workspace.put_back(head.sha)
    assert await tree(workspace) == before
    await workspace.put_back(head.sha)
    assert await tree(workspace) == before


async def test_a_copy_travels_to_another_box(workspace: Workspace, runtime: Runtime, head: Commit) -> None:
    await output_of(
        workspace,
        "mkdir -p data; printf 'entry %s\\n' $(seq 20000) > data/list; ln -s data/list link;"
        "truncate -s 1000M data/sparse; "
        "printf end | dd of=data/sparse bs=1 seek=1048575000 conv=notrunc 2>/dev/null",
    )
    made = await workspace.set_aside(head.sha)
    archive = await whole(workspace.aside())
    assert len(archive) < 2_000_000
    other_job = uuid4()
    other = await runtime.attach(other_job, fence=1, create=True)
    try:
        taken = await other.take_in(again(archive))
        await other.put_back(None)
        same = (
            "md5sum data/list; readlink link; stat -c '%n %s' data/sparse; tail -c 777 data/sparse | md5sum"
        )
        assert await output_of(other, same) == await output_of(workspace, same)
        assert int(await output_of(other, "du -k data/sparse | cut -f 1")) < 2000
        assert (taken.entries, taken.bytes) == (made.entries, made.bytes)
    finally:
        await other.close()
        await runtime.destroy(other_job)


async def test_a_database_in_use_is_copied_as_a_power_cut_would_leave_it(
    workspace: Workspace, head: Commit
) -> None:
    await workspace.save(
        "/app/main.py",
        b"""\
import http.server, os, sqlite3, threading, time
os.makedirs("data", exist_ok=True)
db = sqlite3.connect("data/app.db", check_same_thread=False, isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("create table if not exists entry (n integer primary key)")
def write():
    while True:
        db.execute("insert into entry default values")
threading.Thread(target=write, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
""",
    )
    head = await workspace.commit("Write all the time", "Builder")
    await workspace.start_app(Manifest(start="exec python3 main.py"))
    sql = "select (select * from pragma_integrity_check), count(*) > 0, count(*) = max(n) from entry"
    path = ".git/boardroom.data/files/data/app.db"
    read = f"""python3 -c "import sqlite3; print(*sqlite3.connect('{path}').execute('{sql}').fetchone())\""""
    for _ in range(5):
        await workspace.set_aside(head.sha)
        assert await output_of(workspace, read) == "ok 1 1"
    assert (await workspace.app_status()).answering


async def test_a_folder_of_the_commit_stays_when_data_are_put_back(
    workspace: Workspace, head: Commit
) -> None:
    await workspace.set_aside(head.sha)
    await workspace.save("/app/src/new.py", b"new")
    later = await workspace.commit("More", "Builder")
    await output_of(workspace, "echo entry > src/entry.txt")
    await workspace.put_back(later.sha)
    assert await output_of(workspace, "ls src") == "new.py"


async def test_without_a_copy_nothing_is_put_back_or_sent(workspace: Workspace, head: Commit) -> None:
    await output_of(workspace, "echo mine > mine.txt")
    with pytest.raises(NotFound):
        await workspace.put_back(head.sha)
    with pytest.raises(NotFound):
        await whole(workspace.aside())
    assert await output_of(workspace, "cat mine.txt") == "mine"


async def test_very_deep_data_are_refused_and_nothing_is_left_of_the_copy(
    workspace: Workspace, head: Commit
) -> None:
    deep = "python3 -c \"import os\nfor _ in range(2500):\n os.mkdir('d'); os.chdir('d')\""
    await output_of(workspace, deep)
    with pytest.raises(TooLarge):
        await workspace.set_aside(head.sha)
    assert await output_of(workspace, "ls .git | grep -c boardroom.data || true") == "0"


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_hundred_thousand_files_are_copied(workspace: Workspace, head: Commit) -> None:
    many = "import os\nos.mkdir('data')\nfor n in range(100_000):\n open(f'data/{n}', 'w').close()"
    await output_of(workspace, f'python3 -c "{many}"')
    assert (await workspace.set_aside(head.sha)).entries == 100_001
    await output_of(workspace, "rm -rf data")
    await workspace.put_back(head.sha)
    assert await output_of(workspace, "ls data | wc -l") == "100000"

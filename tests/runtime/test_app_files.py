"""What the app writes between two of the Builder's calls never enters a commit, also where git does not
ignore it."""

from uuid import UUID

import pytest

from app.domain.workspace import Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import output_of

APP = b"""\
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        path = pathlib.Path(self.path[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("entry")
        self.send_response(200)
        self.end_headers()
    do_GET = lambda self: (self.send_response(200), self.end_headers())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = Manifest(start="exec python3 server.py")


@pytest.fixture
async def built(workspace: Workspace) -> Workspace:
    await workspace.save("/app/server.py", APP)
    await workspace.save("/app/sample.txt", b"shipped")
    await workspace.commit("Begin", "Builder")
    await workspace.start_app(MANIFEST)
    return workspace


async def entry(workspace: Workspace, path: str) -> None:
    assert (await workspace.request("POST", f"/{path}")).status == 200


async def recorded(workspace: Workspace) -> str:
    return await output_of(workspace, "git ls-tree -r --name-only HEAD; git show HEAD:sample.txt")


async def test_entries_of_the_app_are_not_committed(built: Workspace) -> None:
    await entry(built, "notes.json")
    await entry(built, "deep/er/notes.json")
    await entry(built, "sample.txt")
    await built.save("/app/more.py", b"work")
    await built.commit("More", "Builder")
    assert await recorded(built) == "more.py\nsample.txt\nserver.py\nshipped"
    await entry(built, "deep/later.json")
    await entry(built, "late.json")
    await built.commit("Nothing more", "Builder")
    assert await recorded(built) == "more.py\nsample.txt\nserver.py\nshipped"


async def test_entries_stay_when_a_tree_is_restored(built: Workspace) -> None:
    tree = await built.checkpoint("run", "step")
    await entry(built, "notes.json")
    await built.save("/app/more.py", b"work")
    await built.restore(tree)
    assert await output_of(built, "ls") == "notes.json\nsample.txt\nserver.py"


async def test_a_file_that_the_builder_writes_itself_is_committed(built: Workspace) -> None:
    await entry(built, "notes.json")
    await built.save("/app/other.py", b"work")
    await built.save("/app/notes.json", b"shipped entries")
    await built.commit("Ship them", "Builder")
    assert "notes.json" in await recorded(built)


async def test_the_builder_is_told_once_of_files_that_are_left_out(built: Workspace) -> None:
    await built.checkpoint("run", "step")
    assert (await built.left_out(look=True)).paths == ()
    await entry(built, "notes.json")
    await entry(built, "sample.txt")
    assert (await built.left_out(look=False)).paths == ()
    found = await built.left_out(look=True)
    assert (sorted(found.paths), found.more) == (["notes.json", "sample.txt"], 0)
    await entry(built, "notes.json")
    assert (await built.left_out(look=True)).paths == ()
    for number in range(7):
        await entry(built, f"many-{number}.json")
    await built.save("/app/more.py", b"work")
    found = await built.left_out(look=False)
    assert (len(found.paths), found.more) == (5, 2)
    await built.checkpoint("run", "later")
    await entry(built, "mine.json")
    await built.save("/app/mine.json", b"the Builder's own from now on")
    assert (await built.left_out(look=False)).paths == ()


async def test_the_clients_data_are_no_news_to_the_builder(built: Workspace) -> None:
    await built.stop_app()
    head = await built.head()
    assert head is not None
    await output_of(built, "echo theirs > clients.json")
    await built.set_aside(head.sha)
    await output_of(built, "rm clients.json")
    await built.commit("Without", "Builder")
    await built.put_back(head.sha)
    assert await output_of(built, "cat clients.json") == "theirs"
    assert (await built.left_out(look=True)).paths == ()


async def test_a_clients_save_commits_that_file_alone(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, fence=1, create=True)
    await worker.save("/app/server.py", APP)
    await worker.save("/app/sample.txt", b"shipped")
    await worker.commit("Begin", "Builder")
    await worker.close()
    client = await runtime.attach(job)
    await client.start_app(MANIFEST)
    await entry(client, "notes.json")
    await entry(client, "sample.txt")
    await client.stop_app()
    await client.save("/app/mine.txt", b"mine")
    assert (await client.head()) is not None
    assert await recorded(client) == "mine.txt\nsample.txt\nserver.py\nshipped"
    await client.close()


async def test_what_the_install_step_leaves_is_not_committed_and_it_runs_once(built: Workspace) -> None:
    await built.stop_app()
    manifest = Manifest(install="echo made >> made.txt; echo made >> sample.txt", start=MANIFEST.start)
    for _ in range(3):
        assert (await built.start_app(manifest)).answering
        await built.stop_app()
        assert await output_of(built, "cat made.txt") == "made", "it runs again after a change only"
    await built.save("/app/more.py", b"work")
    await built.commit("More", "Builder")
    assert await recorded(built) == "more.py\nsample.txt\nserver.py\nshipped"
    assert (await built.start_app(manifest)).answering
    assert await output_of(built, "cat made.txt") == "made\nmade"

"""How the client's app is brought to another commit: it is held, switched, started and released."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from app.domain.errors import Conflict
from app.domain.workspace import Manifest
from app.runtime.live_app import AppHeld
from app.runtime.runtime import Runtime
from app.runtime.workspace import Commit, RuntimeProblem, Stream, Workspace
from tests.helpers.boxes import output_of

APP = b"""\
import http.server, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(1)
            open("notes.txt", "a").write("slow\\n")
        body = b"VERSION"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def leave(*_):
    open("goodbye.txt", "w").write("SIGTERM")
    sys.exit(0)

signal.signal(signal.SIGTERM, leave)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = Manifest(start="exec python3 server.py")


async def commit(workspace: Workspace, **files: str) -> Commit:
    """A commit that changes these files; a name's `__` stands for a dot, empty text removes the file."""
    for name, text in files.items():
        path = "/app/" + name.replace("__", ".").replace("_in_", "/")
        if text:
            await workspace.save(path, text.encode())
        else:
            await workspace.delete(path)
    return await workspace.commit("Change", "Builder")


async def server(workspace: Workspace, version: str, **files: str) -> Commit:
    return await commit(workspace, server__py=APP.decode().replace("VERSION", version), **files)


async def shown(workspace: Workspace, path: str) -> str:
    return await output_of(workspace, f"cat {path} 2>/dev/null || echo '(none)'")


@asynccontextmanager
async def dialled(workspace: Workspace, *, lasting: bool = False) -> AsyncIterator[Stream]:
    port = (await workspace.app_status()).port
    assert port is not None
    stream = await workspace.dial(port, lasting=lasting)
    try:
        yield stream
    finally:
        await stream.close()


async def all_of(stream: Stream) -> bytes:
    whole = b""
    while piece := await stream.read():
        whole += piece
    return whole


async def test_a_held_app_ends_by_sigterm_and_starts_again_as_the_same(workspace: Workspace) -> None:
    first = await server(workspace, "one")
    began = (await workspace.start_app(MANIFEST)).began
    second = await server(workspace, "two")
    await workspace.hold()
    held = await workspace.app_status()
    assert (held.held, held.began) == (True, began)
    await workspace.switch(first.sha, second.sha)
    await workspace.start_app(MANIFEST)
    await workspace.stop_app()
    started = await workspace.start_app(MANIFEST)
    await workspace.release()
    assert started.began == began
    assert (await workspace.request("GET", "/")).body == "two"
    assert await shown(workspace, "goodbye.txt") == "SIGTERM"
    assert not (await workspace.app_status()).held


async def test_a_running_request_ends_before_the_app_does(workspace: Workspace) -> None:
    await server(workspace, "one")
    await workspace.start_app(MANIFEST)
    async with dialled(workspace) as stream:
        await stream.write(b"GET /slow HTTP/1.0\r\n\r\n")
        await workspace.hold()
        assert (await all_of(stream)).endswith(b"one")
    assert await shown(workspace, "notes.txt") == "slow"


async def test_nothing_begins_while_the_app_is_held(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, fence=1, create=True)
    client = await runtime.attach(job)
    await server(worker, "one")
    app = await worker.start_app(MANIFEST)
    assert app.port is not None
    await worker.hold()
    with pytest.raises(AppHeld):
        await client.dial(app.port)
    with pytest.raises(AppHeld):
        await client.start_app(MANIFEST)
    with pytest.raises(AppHeld):
        await client.stop_app()
    await worker.start_app(MANIFEST)
    with pytest.raises(AppHeld):
        await client.dial(app.port)
    await worker.release()
    assert (await client.app_status()).answering
    await client.close()
    await worker.close()


async def test_a_lasting_connection_is_not_waited_for_and_hears_why(workspace: Workspace) -> None:
    await server(workspace, "one")
    await workspace.start_app(MANIFEST)
    async with dialled(workspace, lasting=True) as stream, asyncio.timeout(5):
        await workspace.hold()
        with pytest.raises(AppHeld):
            await all_of(stream)


async def test_a_process_that_left_its_command_does_not_outlive_the_hold(workspace: Workspace) -> None:
    stray = "nohup setsid sh -c 'while :; do date > stray.txt; done' >/dev/null 2>&1 & exec python3 server.py"
    await server(workspace, "one")
    await workspace.start_app(MANIFEST.model_copy(update={"start": stray}))
    await workspace.hold()
    await output_of(workspace, "rm -f stray.txt")
    assert await output_of(workspace, "sleep 0.2; ls stray.txt 2>/dev/null || echo gone") == "gone"


async def test_only_a_worker_holds_and_switches(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, fence=1, create=True)
    client = await runtime.attach(job)
    head = await server(worker, "one")
    for call in (client.hold(), client.release(), client.switch(None, head.sha)):
        with pytest.raises(RuntimeProblem):
            await call
    assert not (await worker.app_status()).held
    await client.close()
    await worker.close()


async def test_without_a_hold_nothing_is_switched(workspace: Workspace) -> None:
    first = await commit(workspace, notes__txt="one")
    second = await commit(workspace, notes__txt="two")
    with pytest.raises(RuntimeProblem):
        await workspace.switch(second.sha, first.sha)
    assert await shown(workspace, "notes.txt") == "two"


async def test_files_follow_the_commit_and_data_stay(workspace: Workspace) -> None:
    first = await commit(
        workspace,
        main__py="one",
        sample__json="shipped",
        gone__py="old",
        a_in_deep__txt="deep",
        both__txt="then",
    )
    second = await commit(
        workspace, main__py="two", gone__py="", a_in_deep__txt="", both__txt="now", new__py="new"
    )
    await workspace.hold()
    await workspace.switch(second.sha, first.sha)
    assert (
        await output_of(workspace, "cat main.py gone.py a/deep.txt; ls new.py 2>&1 | wc -l") == "oneolddeep1"
    )
    await output_of(
        workspace, "echo entry > sample.json; echo mine > both.txt; mkdir data; echo x > data/x.db"
    )
    done = await workspace.switch(first.sha, second.sha)
    assert await shown(workspace, "main.py new.py") == "twonew"
    assert await output_of(workspace, "ls") == "both.txt\ndata\nmain.py\nnew.py\nsample.json"
    assert await shown(workspace, "sample.json data/x.db") == "entry\nx"
    assert await shown(workspace, "both.txt") == "now"
    assert (done.kept, done.replaced) == ((), ("both.txt",))
    assert await workspace.head() == second


async def test_an_entry_of_the_app_is_not_overwritten_by_a_new_file_of_that_name(
    workspace: Workspace,
) -> None:
    first = await commit(workspace, main__py="one")
    second = await commit(workspace, notes__json="shipped", tool__py="code")
    await workspace.hold()
    await workspace.switch(second.sha, first.sha)
    await output_of(workspace, "echo mine > notes.json; echo mine > tool.py")
    done = await workspace.switch(first.sha, second.sha)
    assert await shown(workspace, "notes.json tool.py") == "mine\ncode"
    assert (done.kept, done.replaced) == (("notes.json",), ("tool.py",))


async def test_code_that_the_app_has_changed_is_put_right_again(workspace: Workspace) -> None:
    first = await commit(workspace, main__py="one", other__py="same")
    second = await commit(workspace, main__py="two")
    await workspace.hold()
    await workspace.switch(second.sha, first.sha)
    await output_of(workspace, "echo changed > other.py; mkdir -p __pycache__; touch __pycache__/other.pyc")
    done = await workspace.switch(first.sha, second.sha)
    assert await shown(workspace, "other.py") == "same"
    assert await output_of(workspace, "ls") == "main.py\nother.py"
    assert done.replaced == ("other.py",)


async def test_a_switch_does_not_write_through_a_link(workspace: Workspace) -> None:
    first = await commit(workspace, a_in_one__py="one")
    second = await commit(workspace, a_in_one__py="two", a_in_two__py="two")
    await workspace.hold()
    await workspace.switch(second.sha, first.sha)
    await output_of(workspace, "mkdir /tmp/elsewhere; rm -r a; ln -s /tmp/elsewhere a")
    await workspace.switch(first.sha, second.sha)
    assert await output_of(workspace, "ls /tmp/elsewhere; ls a") == "one.py\ntwo.py"


async def test_a_folder_with_entries_in_the_place_of_a_file_stops_the_switch(workspace: Workspace) -> None:
    first = await commit(workspace, main__py="one")
    second = await commit(workspace, notes__py="code")
    await workspace.hold()
    await workspace.switch(second.sha, first.sha)
    await output_of(workspace, "mkdir notes.py; echo mine > notes.py/x")
    with pytest.raises(Conflict, match="notes"):
        await workspace.switch(first.sha, second.sha)
    assert await shown(workspace, "notes.py/x") == "mine"


async def test_a_commit_travels_to_another_box(workspace: Workspace, runtime: Runtime, job: UUID) -> None:
    first = await commit(workspace, main__py="one")
    second = await commit(workspace, main__py="two")
    other_job = uuid4()
    other = await runtime.attach(other_job, fence=1, create=True)
    try:
        await other.learn(workspace.pack(first.sha, None))
        await other.hold()
        await other.switch(None, first.sha)
        assert await shown(other, "main.py") == "one"
        await other.learn(workspace.pack(second.sha, first.sha))
        await other.learn(workspace.pack(second.sha, "0" * 40))
        await other.switch(first.sha, second.sha)
        assert await shown(other, "main.py") == "two"
        assert await other.head() == second
    finally:
        await other.close()
        await runtime.destroy(other_job)

"""Trees that are deeper, wider or odder than anybody needs: they are said, and keep no box from starting,
ending, committing or checking. In each kind of box."""

import asyncio
import io
import os
import zipfile
from functools import partial
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from app.domain.errors import Invalid, NotFound
from app.domain.ticket import CommandCheck
from app.runtime.guest import archive
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import Node, SandboxUnavailable, Workspace
from tests.helpers.boxes import output_of
from tests.helpers.waiting import until

DIG = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir("d")
    os.chdir("d")
open("bottom", "w").write("deep")
if len(sys.argv) > 3:
    os.mkdir(sys.argv[3])
"""
"""Makes nested folders, one below the other, and a file in the last one."""


async def dig(workspace: Workspace, folder: str, levels: int, *more: str) -> None:
    await output_of(workspace, f"cat > /tmp/dig.py <<'END'\n{DIG}\nEND")
    # Where it gets deeper than a path may be, a container's watch may end it: it cannot count what is there.
    await workspace.run(f"python3 /tmp/dig.py {folder} {levels} {' '.join(more)}", timeout_s=30)


async def unzipped(workspace: Workspace) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join([piece async for piece in workspace.archive()])))


def depth(nodes: list[Node]) -> int:
    levels = 0
    while nodes:
        levels += 1
        nodes = [node for each in nodes for node in each.children]
    return levels


async def test_a_client_cannot_save_deeper_than_anybody_needs(workspace: Workspace) -> None:
    with pytest.raises(Invalid):
        await workspace.save(f"{'d/' * 1900}bottom", b"")
    await workspace.save(f"{'d/' * 199}bottom", b"deep")
    assert (await workspace.read(f"{'d/' * 199}bottom")).content == b"deep"
    assert (await workspace.read(f"{'d/../' * 500}{'d/' * 199}bottom")).content == b"deep"
    with pytest.raises(NotFound):
        await workspace.read(f"{'d/' * 1900}bottom")


@pytest.mark.parametrize("levels", [1900, 6000])
async def test_deep_folders_of_the_job_are_shown_recorded_and_checked(
    workspace: Workspace, levels: int
) -> None:
    await workspace.save("main.py", b"code")
    await dig(workspace, "/app", levels)
    listing = await workspace.list("/app", 1000)
    assert listing.truncated
    assert depth(listing.structure) == 60
    orjson.dumps([node.model_dump(mode="json") for node in listing.structure])  # as the API sends it
    assert depth((await workspace.list("/app" + "/d" * 100, 1000)).structure) == 60
    zipped = await unzipped(workspace)
    bottom = "d/" * levels + "bottom"
    if levels == 1900:
        assert zipped.read(bottom) == b"deep"
        assert (await workspace.read(bottom)).content == b"deep"
    else:
        assert "(nested too deeply" in zipped.read("LEFT-OUT.txt").decode()
    commit = await workspace.commit("deep", "Builder")
    if levels == 1900:
        check = CommandCheck(id="c", criterion=0, kind="command", run="cat main.py", expect_output="code")
        assert (await workspace.check(commit.sha, check)).passed
    tree = await workspace.checkpoint("run", "1")
    await workspace.save("main.py", b"other")
    await workspace.restore(tree)
    assert (await workspace.read("main.py")).content == b"code"


async def _awake(runtime: Runtime, job: UUID) -> Workspace | None:
    """A busy machine may need longer for leftovers than one caller waits; each start goes on with them."""
    try:
        return await runtime.attach(job, fence=2)
    except SandboxUnavailable:
        return None


async def test_a_box_starts_whatever_was_left_in_it(runtime: Runtime, job: UUID) -> None:
    workspace = await runtime.attach(job, fence=1, create=True)
    await output_of(
        workspace, "mkdir /scratch/closed && touch /scratch/closed/a && chmod 000 /scratch/closed"
    )
    await output_of(workspace, "cd /scratch && ln -s /app link && mkfifo pipe && seq 3000 | xargs touch")
    await dig(workspace, "/scratch", 20_000)
    await workspace.close()
    await runtime.stop(job)
    workspace = await until(partial(_awake, runtime, job), 120)
    assert await output_of(workspace, "ls -A /scratch") == "home"
    await workspace.close()


async def test_inner_repositories_at_any_depth_are_taken_in(workspace: Workspace) -> None:
    await dig(workspace, "/app", 1500)
    inside = "/d" * 1500
    await output_of(workspace, f"cd /app{inside} && git init -q . && mkdir -p .git/x{'/y' * 20}")
    await output_of(workspace, "cd /app && mkdir lib && cd lib && git init -q . && echo code > a.py")
    commit = await workspace.commit("deep", "Builder")
    check = CommandCheck(id="c", criterion=0, kind="command", run="cat lib/a.py", expect_output="code")
    assert (await workspace.check(commit.sha, check)).passed


async def test_a_workspace_of_another_user_is_taken_over_however_deep(
    tmp_path: Path, local_boxes: None, job: UUID
) -> None:
    runtime = LocalRuntime(tmp_path, idle_s=60)
    workspace = await runtime.attach(job, fence=1, create=True)
    await workspace.save("main.py", b"code")
    await dig(workspace, "/app", 3000)
    await workspace.close()
    await runtime.stop(job)
    app = next(tmp_path.glob("*/app"))
    if os.geteuid() == 0:
        os.chown(app, 0, 0)
        os.chown(app / "main.py", 0, 0)
    workspace = await runtime.attach(job, fence=2)
    await output_of(workspace, "echo more >> main.py")
    await workspace.close()
    await runtime.destroy(job)
    await runtime.close()
    assert not app.exists()


@pytest.mark.may_block
def test_an_archive_says_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    for name in ("a/1", "b/1", "b/2", "c/1", "z/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    async def nothing() -> frozenset[str]:
        return frozenset()

    async def whole() -> bytes:
        return b"".join([piece async for piece in archive.zip_pieces(str(tmp_path), (), nothing)])

    zipped = zipfile.ZipFile(io.BytesIO(asyncio.run(whole())))
    assert zipped.namelist() == ["a/1", "b/1", "b/2", "LEFT-OUT.txt"]
    assert zipped.read("LEFT-OUT.txt") == (
        b"Left out of this archive:\nc/ and all that follows (more than 3 files)\n"
    )


WRITTEN = ("dist/index.html", "build/make.py", "target/a.rs", "web/coverage/b.js")


async def test_what_git_ignores_is_left_out_and_nothing_else(workspace: Workspace) -> None:
    made = ("site/dist/bundle.js", "node_modules/m/x.js", "src/build/cache.o")
    for path in (*WRITTEN, *made, "app.py"):
        await workspace.save(path, b"text")
    await workspace.save(".gitignore", b"/site/dist/\nbuild/\n!/build/\n")
    listing = await workspace.list("/app", 1000)
    shown, entered = set[str](), set[str]()
    waiting = list(listing.structure)
    while waiting:
        node = waiting.pop()
        shown.add(node.path.removeprefix("/app/"))
        if node.children:
            entered.add(node.path.removeprefix("/app/"))
        waiting += node.children
    assert {*WRITTEN, "site/dist", "node_modules", "src/build"} <= shown
    assert not entered & {"site/dist", "node_modules", "src/build"}
    assert set((await unzipped(workspace)).namelist()) == {*WRITTEN, "app.py", ".gitignore"}
    for inner in ("site/dist", "src/build"):  # asked for by itself, it is listed
        assert len((await workspace.list(f"/app/{inner}", 10)).structure) == 1


async def test_a_generated_folder_that_was_committed_all_the_same_is_shown(workspace: Workspace) -> None:
    await workspace.save("dist/index.html", b"text")
    await workspace.commit("dist", "Builder")
    await workspace.save(".gitignore", b"dist/\n")
    await workspace.save("dist/more.html", b"text")
    assert {"dist/index.html", "dist/more.html"} <= set((await unzipped(workspace)).namelist())


async def test_which_rule_ignores_a_file(workspace: Workspace) -> None:
    await workspace.save(".gitignore", b"# Python\nlib/\n*.log\n!keep.log\n")
    for path in ("lib/core.py", "src/lib/x.py", "a.log", "keep.log", "node_modules/m.js", "main.py"):
        await workspace.save(path, b"")
    assert await workspace.ignored_by("lib/core.py") == "lib/ in .gitignore, line 2"
    assert await workspace.ignored_by("/app/src/lib/x.py") == "lib/ in .gitignore, line 2"
    assert await workspace.ignored_by("a.log") == "*.log in .gitignore, line 3"
    assert await workspace.ignored_by("node_modules/m.js") == "node_modules/ in our own list"
    assert [await workspace.ignored_by(path) for path in ("keep.log", "main.py", "absent")] == ["", "", ""]

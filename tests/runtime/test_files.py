"""Files of a workspace, on every kind of box: the answers, and every error."""

import io
import zipfile
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from app.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Stale, TooLarge
from app.domain.workspace import MAX_READ_BYTES, MAX_SAVE_BYTES
from app.runtime.runtime import Runtime
from app.runtime.workspace import Node, Workspace, WorkspaceMissing
from tests.helpers.boxes import output_of


async def test_saved_content_is_read_again(workspace: Workspace) -> None:
    saved = await workspace.save("deep/er/ünï.txt", b"one\0\xff")
    file = await workspace.read("/app/deep/er/ünï.txt")
    assert (saved.path, saved.bytes_written, saved.size) == ("/app/deep/er/ünï.txt", 5, 5)
    assert (file.path, file.content, file.size, file.etag) == (saved.path, b"one\0\xff", 5, saved.etag)
    assert file.modified_at == saved.modified_at


async def test_an_etag_guards_a_save(workspace: Workspace) -> None:
    first = await workspace.save("a.txt", b"1")
    second = await workspace.save("a.txt", b"2", etag=first.etag)
    with pytest.raises(Stale):
        await workspace.save("a.txt", b"3", etag=first.etag)
    with pytest.raises(Stale):
        await workspace.save("new.txt", b"3", etag=first.etag)
    assert (await workspace.read("a.txt")).etag == second.etag
    await output_of(workspace, "printf 1 > a.txt")
    assert (await workspace.read("a.txt")).etag == first.etag


async def test_a_save_keeps_the_mode_and_is_atomic(workspace: Workspace) -> None:
    await output_of(workspace, "printf x > run.sh && chmod 750 run.sh && ln run.sh other-name")
    await workspace.save("run.sh", b"new")
    assert (
        await output_of(workspace, "stat -c %a run.sh; cat other-name; ls -A | grep -c saving || true")
        == "750\nx0"
    )


async def test_a_listing_is_breadth_first_and_ordered(workspace: Workspace) -> None:
    await output_of(
        workspace, "mkdir -p b/inner node_modules/x && touch z a.txt b/one b/inner/two node_modules/y"
    )
    listing = await workspace.list("/app", 1000)
    shown = [node for node in listing.structure if node.name != ".git"]
    assert [(node.name, node.type) for node in shown] == [
        ("b", "dir"),
        ("node_modules", "dir"),
        ("a.txt", "file"),
        ("z", "file"),
    ]
    assert shown[1].children == []
    assert [node.path for node in shown[0].children] == ["/app/b/inner", "/app/b/one"]
    assert [node.path for node in shown[0].children[0].children] == ["/app/b/inner/two"]
    assert not listing.truncated
    assert [node.name for node in (await workspace.list("node_modules", 10)).structure] == ["x", "y"]


async def test_a_listing_stops_at_its_limit(workspace: Workspace) -> None:
    await output_of(workspace, "mkdir d && touch $(seq -f 'd/%g' 1200) $(seq -f 'f%02g' 5)")
    listing = await workspace.list("/app", 4)
    assert ([node.name for node in listing.structure], listing.truncated) == (
        ["d", "f01", "f02", "f03"],
        True,
    )
    whole = await workspace.list("/app", 1000)
    assert whole.truncated
    assert _count(whole.structure) == 1000
    assert (await workspace.list("/app/d/../f01/..", 1000)).path == "/app"


def _count(nodes: list[Node]) -> int:
    return sum(1 + _count(node.children) for node in nodes)


async def test_odd_names_are_shown_escaped(workspace: Workspace) -> None:
    await output_of(workspace, r"""python3 -c "open(b'/app/\xff\x01 \"', 'w')" """)
    names = [node.name for node in (await workspace.list("/app", 10)).structure]
    assert names == ['\\xff\x01 "']


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("none", NotFound),
        ("none/below", NotFound),
        ("file/below", NotFound),
        ("folder", Conflict),
        ("/app", Conflict),
        ("fifo", Conflict),
        ("socket", Conflict),
        ("big", TooLarge),
        ("..", Forbidden),
        ("../etc/passwd", Forbidden),
        ("/etc/passwd", Forbidden),
        ("/app/../etc/passwd", Forbidden),
        ("/app-x/a", Forbidden),
        ("//etc/passwd", Forbidden),
        ("folder/../../etc/passwd", Forbidden),
        ("to-etc/passwd", Forbidden),
        ("to-passwd", Forbidden),
        ("to-itself", Forbidden),
        ("to-file-absolutely", Forbidden),
        ("to-proc/1/environ", Forbidden),
        ("chain", Forbidden),
        ("folder/up", Forbidden),
        ("folder/up/etc/passwd", Forbidden),
        ("a\0b", Invalid),
        ("a\nb", Invalid),
        ("a\ud800b", Invalid),
        ("n" * 256, Invalid),
        ("/".join(["n" * 200] * 30), Invalid),
    ],
)
async def test_every_refusal_of_a_read(paths: Workspace, path: str, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal) as caught:
        await paths.read(path)
    if refusal is NotFound:
        assert caught.value.detail == f"File not found: /app/{path}."
    if path == "big":
        assert sum([len(piece) async for piece in paths.download(path)]) == MAX_READ_BYTES + 1
        return
    with pytest.raises(refusal):
        _ = [piece async for piece in paths.download(path)]


@pytest.fixture(scope="module")
async def paths(runtime: Runtime) -> AsyncIterator[Workspace]:
    """A workspace with every kind of file and link that a path can lead to. The tests do not change it."""
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    await output_of(
        workspace,
        "mkdir folder && printf hello > file && mkfifo fifo && mkdir folder/inner"
        " && python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'"
        f" && truncate -s {MAX_READ_BYTES + 1} big"
        " && ln -s /etc to-etc && ln -s /etc/passwd to-passwd && ln -s to-itself to-itself"
        " && ln -s /app/file to-file-absolutely && ln -s ../file folder/to-file && ln -s /proc to-proc"
        " && ln -s folder/up chain && ln -s ../.. folder/up && ln -s folder to-folder"
        " && ln -s inner/../../file folder/by-way-of-dots && ln -s nowhere dangling",
    )
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


async def test_relative_links_inside_are_followed(paths: Workspace) -> None:
    for path in ("folder/to-file", "to-folder/to-file", "folder/by-way-of-dots", "to-folder/../file"):
        assert (await paths.read(path)).content == b"hello", path
    assert [node.name for node in (await paths.list("to-folder", 100)).structure] == [
        "inner",
        "by-way-of-dots",
        "to-file",
        "up",
    ]
    with pytest.raises(NotFound):
        await paths.read("dangling")


async def test_a_listing_shows_links_and_does_not_follow_them(paths: Workspace) -> None:
    listing = await paths.list("/app", 1000)
    links = [node for node in listing.structure if node.name.startswith("to-")]
    assert links
    assert all(node.type == "file" and not node.children for node in links)
    for path, refusal in (
        ("file", Conflict),
        ("none", NotFound),
        ("to-etc", Forbidden),
        ("folder/up", Forbidden),
    ):
        with pytest.raises(refusal):
            await paths.list(path, 10)


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("/app", Conflict),
        ("folder", Conflict),
        ("fifo", Conflict),
        ("socket", Conflict),
        ("file/below", Conflict),
        ("to-passwd", Forbidden),
        ("to-etc/new", Forbidden),
        ("to-itself", Forbidden),
        ("chain/new", Forbidden),
        ("folder/up/tmp/new", Forbidden),
        ("../new", Forbidden),
        ("/tmp/new", Forbidden),
        ("a\x1fb", Invalid),
    ],
)
async def test_every_refusal_of_a_save(paths: Workspace, path: str, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        await paths.save(path, b"x")
    with pytest.raises((refusal, NotFound)):
        await paths.delete(path)
    assert await output_of(paths, "ls -A /tmp; cat file; find . -name '*saving*'") == "hello"


async def test_nothing_is_saved_into_the_repository(workspace: Workspace) -> None:
    before = (await workspace.commit("One", "Builder"), await output_of(workspace, "cat .git/config"))
    await output_of(workspace, "ln -s .git/hooks hooks && mkdir inner && ln -s ../.git inner/link")
    for path in (".git/config", ".git", "./inner/../.git/new/file", "hooks/pre-commit", "inner/link/HEAD"):
        with pytest.raises(Forbidden, match="repository"):
            await workspace.save(path, b"[core]\nfsmonitor = touch /app/hit\n")
    assert (await workspace.head(), await output_of(workspace, "cat .git/config")) == before
    assert (await workspace.save("inner/.git/x", b"1")).size == 1, "one that is not the workspace's own"
    assert (await workspace.read(".git/HEAD")).content.startswith(b"ref: ")


async def test_sizes_are_limited(workspace: Workspace) -> None:
    await workspace.save("full", b"x" * MAX_SAVE_BYTES)
    with pytest.raises(TooLarge):
        await workspace.save("over", b"x" * (MAX_SAVE_BYTES + 1))
    await output_of(workspace, f"truncate -s {MAX_READ_BYTES} largest")
    assert len((await workspace.read("largest")).content) == MAX_READ_BYTES


async def test_deleting(workspace: Workspace) -> None:
    await workspace.save("a", b"")
    await workspace.delete("a")
    for path, refusal in (("a", NotFound), (".git", Conflict), ("/app", Conflict)):
        await output_of(workspace, "mkdir -p .git")
        with pytest.raises(refusal):
            await workspace.delete(path)


async def test_an_archive_contains_the_clients_files(workspace: Workspace) -> None:
    await output_of(
        workspace,
        "mkdir -p src .git node_modules/m __pycache__ && printf code > src/a.py"
        " && touch node_modules/m/x .git/y"
        " && ln -s /etc/passwd leak && ln -s /etc leaks && mkfifo pipe && chmod 755 src/a.py"
        " && head -c 3000000 /dev/urandom > noise && touch -d 1970-01-02 old",
    )
    data = b"".join([piece async for piece in workspace.archive()])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert sorted(archive.namelist()) == ["noise", "old", "src/a.py"]
    assert archive.read("src/a.py") == b"code"
    assert archive.getinfo("src/a.py").external_attr >> 16 == 0o755


async def test_no_workspace_is_no_files(runtime: Runtime, job: UUID) -> None:
    with pytest.raises(WorkspaceMissing):
        await runtime.attach(job)
    assert (await runtime.status(job)).state == "none"


async def test_files_with_extreme_times(workspace: Workspace) -> None:
    ages = "import os\nfor n, t in (('old', -10**12), ('new', 10**13)): open(n, 'w'); os.utime(n, (t, t))"
    await output_of(workspace, f'python3 -c "{ages}"')
    found = (await workspace.list("/app", 10)).structure
    assert [node.name for node in found] == ["new", "old"]
    assert found[0].modified_at.year > 2100 > 1970 > found[1].modified_at.year
    assert len(b"".join([piece async for piece in workspace.archive()])) > 0

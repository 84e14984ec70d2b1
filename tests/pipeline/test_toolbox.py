"""The Builder's tools, in a real box."""

import orjson

from app.runtime.workspace import Workspace
from tests.helpers.company import SERVER, call
from tests.helpers.entries import SERVER as ENTRIES
from tests.helpers.tools import use
from workers.llm.model import Message
from workers.pipeline.ticket import overview
from workers.pipeline.ticket.memory import MAX_CHARS, STEP, WHOLE_TURNS, bounded


async def test_search(box: Workspace) -> None:
    await use(box, "write_file", path="a/one.py", content="x = 1\ny = 'it''s $HOME'\n")
    await use(box, "write_file", path="node_modules/two.js", content="x = 1\n")
    assert (await use(box, "search", text="x = 1")).strip() == "a/one.py:1:x = 1"
    assert "one.py:2:" in await use(box, "search", text="'it''s $HOME'", path="a")
    assert await use(box, "search", text="-e nowhere; echo hacked") == "(nothing found)"
    assert (await use(box, "search", text="x", path="../etc")).startswith("error:")


async def test_a_long_file_is_read_in_parts(box: Workspace) -> None:
    content = "".join(f"line {number}: {'x' * 90}\n" for number in range(1, 401))
    await use(box, "write_file", path="long.txt", content=content)
    parts, first = [], 1
    while "(cut here" in (read := await use(box, "read_file", path="long.txt", first=first)):
        part, _, rest = read.rpartition("(cut here; the file has 400 lines: read on from ")
        parts.append(part)
        first = int(rest.rstrip(")"))
    assert len(parts) == 2
    assert "".join([*parts, read]) == content
    assert await use(box, "read_file", path="long.txt", first=401) == "error: the file ends with line 400"


async def test_a_file_that_is_no_text_is_not_edited(box: Workspace) -> None:
    content = "name;Käse\n".encode("latin-1")
    await box.save("/app/old.csv", content)
    answer = await use(box, "edit_file", path="old.csv", old="name", new="title")
    assert answer == "error: /app/old.csv is not UTF-8 text"
    assert (await box.read("/app/old.csv")).content == content


async def test_a_file_that_hides_a_module_of_pythons_is_not_written(box: Workspace) -> None:
    assert (await use(box, "write_file", path="signal.py", content="")).startswith("error: /app/signal.py")
    await box.save("/app/statistics.py", b"MEAN = 1")
    for path in ("statistics.py", "shop/calendar.py", "shop.py"):
        assert (await use(box, "write_file", path=path, content="")).startswith("wrote")


async def test_the_definitions_in_a_repository(box: Workspace) -> None:
    await use(box, "write_file", path="app/b.py", content="import x\n\nclass B:\n    def m(self): ...\n")
    await use(box, "write_file", path="a.ts", content="export const a = 1\nfunction f() {}\n")
    await use(box, "write_file", path="node_modules/c.js", content="function hidden() {}\n")
    assert await overview.outline(box) == (
        "a.ts\n1:export const a = 1\n2:function f() {}\napp/b.py\n3:class B:"
    )


async def test_the_app_is_started_asked_and_stopped(box: Workspace) -> None:
    assert (await use(box, "start_app")).startswith("error:")
    await use(box, "write_file", path="boardroom.json", content="{}")
    assert (await use(box, "start_app")).startswith("error: boardroom.json")
    manifest = {"profile": "python-stdlib", "start": "python3 server.py", "health": "/"}
    await use(box, "write_file", path="boardroom.json", content=orjson.dumps(manifest).decode())
    await use(box, "write_file", path="server.py", content=SERVER)
    assert (await use(box, "start_app")).startswith("answering")
    assert await use(box, "request", path="/") == "200\n\nhello"
    await use(box, "edit_file", path="server.py", old='"hello"', new='"good day"')
    assert (await use(box, "start_app")).startswith("answering")
    assert await use(box, "request", path="/") == "200\n\ngood day"
    assert await use(box, "stop_app") == "stopped"
    assert (await use(box, "request", path="/")).startswith("error:")
    assert not (await use(box, "app_status")).startswith("answering")


def test_a_long_loop_is_shown_in_outline() -> None:
    first = Message("user", "facts")

    def turn(number: int, size: int) -> tuple[Message, ...]:
        wanted = call("write_file", path=f"f{number}", content="x" * size)
        return (Message("assistant", "", (wanted,)), Message("tool", "y" * size, call_id=wanted.id))

    turns = [turn(number, 5000) for number in range(40)]
    sizes, heads = [], set()
    for count in range(len(turns) + 1):
        shown = bounded(first, turns[:count])
        assert shown[0] == first
        assert len(shown) == 1 + 2 * count
        assert shown[len(shown) - 2 * min(count, WHOLE_TURNS) :] == tuple(
            message for pair in turns[max(count - WHOLE_TURNS, 0) : count] for message in pair
        )
        sizes.append(sum(len(m.text) + sum(len(c.arguments) for c in m.calls) for m in shown))
        heads.add(shown[:3])
        for message in shown:
            for one in message.calls:
                assert orjson.loads(one.arguments)["path"].startswith("f")
    assert max(sizes) < 40 * 1500 + (WHOLE_TURNS + STEP) * 10_100
    assert len(heads) <= 4, "the beginning stays the same for many turns"
    huge = bounded(first, [turn(number, 200_000) for number in range(5)])
    assert sum(len(m.text) + sum(len(c.arguments) for c in m.calls) for m in huge) < MAX_CHARS + 400_000


async def test_the_builder_is_told_that_git_ignores_a_file(box: Workspace) -> None:
    await use(box, "write_file", path=".gitignore", content="lib/\n")
    said = await use(box, "write_file", path="lib/core.py", content="x = 1\n")
    assert said.startswith(
        "wrote /app/lib/core.py (6 bytes)\nnote: git ignores this file (lib/ in .gitignore, line 1)"
    )
    assert "note:" in await use(box, "edit_file", path="lib/core.py", old="1", new="2")
    assert await use(box, "write_file", path="core.py", content="x = 1\n") == "wrote /app/core.py (6 bytes)"


async def test_what_was_committed_in_a_folder_named_build_is_found(box: Workspace) -> None:
    await use(box, "write_file", path="build/make.py", content="def needle(): ...\n")
    await use(box, "write_file", path="out/made.py", content="def needle(): ...\n")
    await use(box, "write_file", path=".gitignore", content="out/\n")
    assert await use(box, "search", text="needle") == "build/make.py:1:def needle(): ...\n"
    assert await overview.outline(box) == "build/make.py\n1:def needle(): ..."
    assert await overview.files(box) == [".gitignore", "build/make.py"], "what git ignores is no file"
    assert "build/make.py" in (await use(box, "list_files")).splitlines()
    await use(box, "delete_file", path="build/make.py")
    assert await overview.files(box) == [".gitignore"]


async def test_the_builder_is_told_once_what_its_app_wrote(box: Workspace) -> None:
    manifest = orjson.dumps({"start": "exec python3 server.py", "health": "/"}).decode()
    await use(box, "write_file", path="server.py", content=ENTRIES.replace("STORED", "notes.txt"))
    await use(box, "write_file", path="boardroom.json", content=manifest)
    await box.commit("Begin", "Builder")
    assert "note:" not in await use(box, "start_app")
    assert await use(box, "request", method="POST", path="/", body='"milk"') == (
        "201\n\nnoted\nnote: the app or its install step has written `notes.txt`. That is data of the app, "
        "no part of the work, and in no commit. What belongs to the work, write yourself with `write_file`."
    )
    assert await use(box, "request", method="POST", path="/", body='"bread"') == "201\n\nnoted"
    assert "note:" not in await use(box, "run_command", command="cat notes.txt")
    wrote = await use(box, "write_file", path="notes.txt", content='"sample";')
    assert "note:" not in wrote
    await box.commit("Done", "Builder")
    assert "notes.txt" in await use(box, "run_command", command="git ls-tree --name-only HEAD")

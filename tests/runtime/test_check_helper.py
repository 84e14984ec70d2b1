"""The module that commands of checks import: it works, nobody can change it, and it is nowhere else."""

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.domain.ticket import CommandCheck
from app.runtime.guest.hiding import hiding_own
from app.runtime.runtime import Runtime
from app.runtime.workspace import CheckResult, Workspace
from tests.helpers import notes_app
from tests.helpers.boxes import output_of

DAEMON = json.dumps({"start": "setsid python3 server.py & wait", "health": "/login"})


@pytest.fixture(scope="module")
async def box(runtime: Runtime) -> AsyncIterator[Workspace]:
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    await workspace.save("server.py", notes_app.SECOND.encode())
    await workspace.save("boardroom.json", notes_app.MANIFEST.encode())
    await workspace.commit("App", "Builder")
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


async def result_of(box: Workspace, script: str) -> CheckResult:
    head = await box.head()
    assert head is not None
    run = f"python3 - <<'END'\n{script}\nEND"
    return await box.check(head.sha, CommandCheck(id="c", criterion=0, run=run))


async def test_it_starts_the_app_and_talks_to_it(box: Workspace) -> None:
    result = await result_of(
        box,
        """
from boardroom_checks import started
with started() as app:
    assert app.get("/").headers["location"] == "/login"
    assert app.log_in("/login", name="Ada").status == 303
    assert app.post("/notes", form={"text": "milk"}).headers["location"] == "/notes/0"
    assert "milk" in app.get("/notes/0").text
    assert app.visitor().get("/notes/0").status == 303
    pid = app.port
print("all is well")
""",
    )
    assert result.passed, result.output_tail
    assert result.output_tail.endswith("all is well")


async def test_an_app_that_does_not_end_is_told(box: Workspace) -> None:
    await box.save("boardroom.json", DAEMON.encode())
    await box.commit("Daemon", "Builder")
    result = await result_of(box, "from boardroom_checks import started\nwith started(): pass")
    assert not result.passed
    assert "a process of it still listens at port" in result.output_tail
    await box.save("boardroom.json", notes_app.MANIFEST.encode())
    await box.commit("No daemon", "Builder")


@pytest.mark.parametrize(
    "change",
    [
        "open(at, 'r+b', 0).write(b'PK')",
        "open(at, 'wb')",
        "os.truncate(at, 0)",
        "mmap.mmap(os.open(at, os.O_RDWR), 0)[0] = 0",
        "open(os.path.join(at, 'json.py'), 'w')",
    ],
)
async def test_nobody_can_change_it(box: Workspace, change: str) -> None:
    result = await result_of(
        box,
        f"""
import mmap, os, sys
at = os.environ["PYTHONPATH"]
try:
    {change}
except (OSError, ValueError, TypeError) as error:
    print("refused", type(error).__name__)
import boardroom_checks
print(boardroom_checks.__file__, callable(boardroom_checks.started))
""",
    )
    assert result.passed, result.output_tail
    assert result.output_tail.startswith("refused")
    assert result.output_tail.endswith("/boardroom_checks.py True")


async def test_the_app_and_the_bench_do_not_have_it(box: Workspace) -> None:
    said = await output_of(box, "python3 -c 'import boardroom_checks' 2>&1 | tail -1")
    assert "No module named 'boardroom_checks'" in said
    manifest = json.loads(notes_app.MANIFEST) | {"start": "exec python3 -c 'import boardroom_checks'"}
    await box.save("boardroom.json", json.dumps(manifest).encode())
    await box.commit("Cheat", "Builder")
    result = await result_of(box, "from boardroom_checks import started\nwith started(): pass")
    assert not result.passed
    assert "No module named 'boardroom_checks'" in result.output_tail


def test_a_file_that_would_hide_it_is_refused() -> None:
    found = hiding_own([], ["boardroom_checks.py", "tests/boardroom_checks/__init__.py", "shop/ok.py"])
    assert set(found.values()) == {"boardroom_checks"}
    assert len(found) == 2

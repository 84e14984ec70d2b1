"""Checks on a commit, on every kind of box: which pass, which fail, and that nothing is left behind."""

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.domain.ticket import CommandCheck, FileCheck, HttpCheck
from app.runtime.answers import holds
from app.runtime.runtime import Runtime
from app.runtime.workspace import CheckResult, RuntimeProblem, Workspace
from tests.helpers.boxes import output_of

SERVER = """\
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        items = [{"id": 1, "done": True}, {"id": 2}]
        body = json.dumps({"path": self.path, "items": items, "home": os.environ["HOME"]})
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (body[:5], body[5:]):
            self.wfile.write(f"{len(piece.encode()):x}\\r\\n{piece}\\r\\n".encode())
        self.wfile.write(b"0\\r\\n\\r\\n")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
SHA256 = hashlib.sha256(SERVER.encode()).hexdigest()


def command(run: str, **more: Any) -> CommandCheck:
    return CommandCheck(id="c", criterion=0, run=run, **more)


def http(path: str, **more: Any) -> HttpCheck:
    return HttpCheck(id="h", criterion=0, path=path, **more)


def file(path: str, contains: str | None = None) -> FileCheck:
    return FileCheck(id="f", criterion=0, path=path, contains=contains)


async def verdict(workspace: Workspace, check: CommandCheck | HttpCheck | FileCheck) -> CheckResult:
    head = await workspace.head()
    assert head is not None
    result = await workspace.check(head.sha, check)
    left = "grep -slzx '[9]87\\|[s]erver.py' /proc/[0-9]*/cmdline"
    assert await output_of(workspace, f"ls -I kept /scratch; {left} || true") == "home"
    return result


async def build(workspace: Workspace) -> Workspace:
    await workspace.save("server.py", SERVER.encode())
    await workspace.save(
        "boardroom.json", json.dumps({"start": "exec python3 server.py", "health": "/up"}).encode()
    )
    await workspace.commit("App", "Builder")
    return workspace


@pytest.fixture
async def built(workspace: Workspace) -> Workspace:
    return await build(workspace)


@pytest.fixture(scope="module")
async def checked(runtime: Runtime) -> AsyncIterator[Workspace]:
    """One box for all checks of the table, because a check leaves nothing behind."""
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    yield await build(workspace)
    await workspace.close()
    await runtime.destroy(job)


@pytest.mark.parametrize(
    ("check", "passed", "exit_code"),
    [
        (command("test -f server.py"), True, 0),
        (command("false"), False, 1),
        (command("exit 4", expect_exit=4), True, 4),
        (command("echo all 3 passed", expect_output="3 passed"), True, 0),
        (command("echo 2 passed", expect_output="3 passed"), False, 0),
        (command("sleep 60", timeout_s=1), False, None),
        (command("setsid sleep 987 & setsid sh -c 'setsid sleep 987 &' ; true"), True, 0),
        (http("/anything", expect_text='"path": "/anything"'), True, None),
        (http("/anything", expect_text="nothing"), False, None),
        (http("/none"), False, None),
        (http("/none", expect_status=404), True, None),
        (http("/", expect_json={"items": [{"id": 2}]}), True, None),
        (http("/", expect_json={"items": [{"id": 1, "done": False}]}), False, None),
        (http("/", method="POST", body={"a": [1]}, expect_status=201, expect_json={"a": [1]}), True, None),
        (file("server.py"), True, None),
        (file("server.py", "serve_forever"), True, None),
        (file("server.py", "nowhere"), False, None),
        (file("none.py"), False, None),
        (file("../../etc/passwd"), False, None),
        (file("/etc/passwd"), False, None),
    ],
)
async def test_the_results_of_checks(
    checked: Workspace, check: CommandCheck | HttpCheck | FileCheck, passed: bool, exit_code: int | None
) -> None:
    result = await verdict(checked, check)
    assert (result.passed, result.exit_code) == (passed, exit_code), result.output_tail
    assert len(result.output_tail.encode()) <= 4096


async def test_the_time_that_a_check_took(checked: Workspace) -> None:
    assert 300 <= (await verdict(checked, command("sleep 0.3"))).duration_ms < 30_000


async def test_a_check_sees_the_commit_and_nothing_else(built: Workspace) -> None:
    await output_of(built, "printf x > uncommitted && printf x > app.db && printf changed > server.py")
    seen = await verdict(
        built, command("ls -A; pwd; echo $HOME; touch left; head -c 6 server.py; test -n $PORT")
    )
    assert seen.output_tail.split() == [
        "boardroom.json",
        "server.py",
        "/scratch/check-1/app",
        "/scratch/check-1/home",
        "import",
    ]
    assert (await verdict(built, http("/", expect_text="/scratch/check-1/home"))).passed
    assert not (await verdict(built, file("uncommitted"))).passed
    assert (
        await output_of(built, "cat server.py; ls") == "changedapp.db\nboardroom.json\nserver.py\nuncommitted"
    )


@pytest.mark.parametrize("place", ["/tmp/s.py", "/dev/shm/s.py", "/scratch/s.py", "/scratch/home/.s/s.py"])
async def test_an_app_outside_of_the_repository_does_not_count(built: Workspace, place: str) -> None:
    await output_of(built, f"mkdir -p $(dirname {place}) && mv server.py {place}")
    await built.save(
        "boardroom.json", json.dumps({"start": f"exec python3 {place}", "health": "/up"}).encode()
    )
    await built.commit("Move", "Builder")
    result = await verdict(built, http("/"))
    assert not result.passed
    assert "No such file" in result.output_tail


OVERWRITE = """python3 - $(git hash-object server.py) <<'END'
import os, sys, zlib
path = f".git/objects/{sys.argv[1][:2]}/{sys.argv[1][2:]}"
os.chmod(path, 0o644)
open(path, "wb").write(zlib.compress(b"blob 3\\0lie"))
END"""


@pytest.mark.parametrize(
    "trick",
    [
        "git replace $(git hash-object server.py) $(echo lie | git hash-object -w --stdin)",
        "git config filter.a.smudge 'echo lie'; echo '* filter=a' > .git/info/attributes",
        "echo '* filter=a' > .gitattributes; git config filter.a.smudge 'echo lie'",
        "echo '*.py text eol=crlf ident' > .git/info/attributes",
    ],
)
async def test_a_check_sees_the_commit_whatever_the_job_configured_in_git(
    built: Workspace, trick: str
) -> None:
    await output_of(built, trick)
    await built.commit("More", "Builder")
    assert (await verdict(built, command("sha256sum server.py", expect_output=SHA256))).passed


async def test_a_forged_history_is_refused(built: Workspace) -> None:
    await output_of(built, OVERWRITE)
    with pytest.raises(RuntimeProblem, match=r"server\.py is not what its name in the history says"):
        await verdict(built, command("true"))


async def test_a_checkout_has_links_programs_and_any_name(built: Workspace) -> None:
    await output_of(
        built,
        "mkdir -p 'd e/f' d && ln -s ../server.py d/link && printf x > 'd e/f/ä\"' && printf x > d.x "
        "&& printf '#!/bin/sh\necho runs' > d/run && chmod +x d/run && touch empty && ln -s /nowhere gone",
    )
    await built.commit("Odd", "Builder")
    seen = await verdict(built, command("./d/run; readlink d/link gone; test ! -s empty; ls 'd e/f'"))
    assert seen.output_tail.split() == ["runs", "../server.py", "/nowhere", 'ä"']


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "There is no boardroom.json"),
        ("nonsense", "boardroom.json is not valid"),
        ('{"port": 8000}', "start: Field required"),
        ('{"start": "echo broken; exit 5"}', "exit code 5"),
        ('{"start": "exec python3 server.py", "install": "echo no network; exit 1"}', "install step failed"),
    ],
)
async def test_an_app_that_cannot_be_started_passes_no_check(
    built: Workspace, manifest: str | None, said: str
) -> None:
    if manifest is None:
        await built.delete("boardroom.json")
    else:
        await built.save("boardroom.json", manifest.encode())
    await built.commit("Break", "Builder")
    result = await verdict(built, http("/"))
    assert not result.passed
    assert said in result.output_tail


async def test_the_install_step_comes_first(built: Workspace) -> None:
    manifest = {"start": "exec python3 server.py", "install": "echo installed > installed", "health": "/"}
    await built.save("boardroom.json", json.dumps(manifest).encode())
    await built.commit("Install", "Builder")
    assert (await verdict(built, command("cat installed"))).output_tail == "installed"


@pytest.mark.parametrize(
    ("value", "part", "held"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [2]}}, True),
        ([{"id": 1}, {"id": 2, "x": 3}], [{"id": 2}], True),
        ([], [], True),
        ([1], [1, 2], False),
        (1, True, False),
        (True, 1, False),
        (1, 1.0, True),
        ("1", 1, False),
        ({"a": []}, {"a": {}}, False),
        (None, None, True),
        ({}, [], False),
    ],
)
def test_expected_json_is_a_part_of_the_answer(value: Any, part: Any, held: bool) -> None:
    assert holds(value, part) is held

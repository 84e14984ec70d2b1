"""Checks that only ask for a page share a start of the app, and each sees what it would have seen alone."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.domain.ticket import CHECK, AnyCheck, HttpCheck
from app.runtime.gets import only_gets
from app.runtime.workspace import CheckResult, Workspace

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/write":
            open("written", "a").write("x")
        if self.path == "/write-tmp":
            open("/tmp/written", "a").write("x")
        if self.path == "/home":
            open(os.path.expanduser("~/written"), "a").write("x")
        found = os.path.exists("written") or os.path.exists("/tmp/written")
        self.send_response(500 if self.path == "/fails" else 200)
        self.end_headers()
        self.wfile.write(f"{self.path} {os.getpid()} {found}".encode())
        self.wfile.flush()
        if self.path == "/dies":
            os._exit(3)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


async def commit_of(workspace: Workspace, start: str = "python3 server.py") -> str:
    manifest = {"profile": "python-stdlib", "start": start, "health": "/health"}
    await workspace.save("/app/server.py", SERVER.encode())
    await workspace.save("/app/boardroom.json", orjson.dumps(manifest))
    return (await workspace.commit("An app", "Builder")).sha


def get(path: str, **more: Any) -> HttpCheck:
    return HttpCheck(id="c", criterion=0, path=path, **more)


def process_of(result: CheckResult) -> str:
    (found,) = re.findall(r"^/\w+ (\d+) ", result.output_tail, re.M)
    return str(found)


async def asked(workspace: Workspace, paths: Sequence[str]) -> Sequence[CheckResult]:
    return await workspace.check_gets(await commit_of(workspace), [get(path) for path in paths])


async def test_they_share_one_start_and_are_judged_each(workspace: Workspace) -> None:
    sha = await commit_of(workspace)
    checks = [get("/a", expect_text="/a"), get("/b", expect_text="/c"), get("/b", expect_status=404)]
    results = await workspace.check_gets(sha, [*checks, get("/d")])
    assert [each.passed for each in results] == [True, False, False, True]
    assert len({process_of(each) for each in results}) == 1
    assert "GET /a → 200" in results[0].output_tail
    alone = await workspace.check(sha, checks[0])
    assert alone.passed
    assert process_of(alone) != process_of(results[0])


@pytest.mark.parametrize("path", ["/write", "/write-tmp", "/home"])
async def test_after_a_file_has_changed_the_others_wait_for_a_start_of_their_own(
    workspace: Workspace, path: str
) -> None:
    assert len(await asked(workspace, ["/a", path, "/b", "/c"])) == 2


async def test_after_the_app_has_died_or_failed_the_others_wait(workspace: Workspace) -> None:
    assert len(await asked(workspace, ["/a", "/dies", "/b"])) == 2
    assert len(await asked(workspace, ["/a", "/fails", "/b"])) == 1
    (first, *_) = await asked(workspace, ["/fails", "/b"])
    assert not first.passed


async def test_an_app_that_does_not_answer_gives_no_result(workspace: Workspace) -> None:
    assert await workspace.check_gets(await commit_of(workspace, "exit 1"), [get("/a"), get("/b")]) == []
    await workspace.delete("/app/boardroom.json")
    commit = await workspace.commit("No manifest", "Builder")
    assert await workspace.check_gets(commit.sha, [get("/a"), get("/b")]) == []


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ({"kind": "http", "path": "/a", "expect_json": {"a": 1}, "expect_text": "a"}, True),
        ({"kind": "http", "path": "/a", "method": "POST"}, False),
        ({"kind": "http", "path": "/a", "body": {"a": 1}}, False),
        ({"kind": "page", "path": "/a", "expect_text": "a"}, False),
        ({"kind": "file", "path": "a"}, False),
    ],
)
def test_which_checks_only_ask(said: dict[str, Any], plain: bool) -> None:
    check: AnyCheck = CHECK.validate_python({"id": "c", "criterion": 0, **said})
    assert only_gets(check) is plain

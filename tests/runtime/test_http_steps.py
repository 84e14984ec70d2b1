"""Checks of several requests, on every kind of box: a login, forms, an upload, and what a failure says."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.domain.ticket import HttpCheck
from app.runtime.guest import steps
from app.runtime.runtime import Runtime
from app.runtime.workspace import CheckResult, Workspace

APP = """\
import email.parser, http.cookies, http.server, json, os, urllib.parse
users, notes = {}, []
class Handler(http.server.BaseHTTPRequestHandler):
    @property
    def user(self):
        cookie = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        return users.get(cookie["session"].value) if "session" in cookie else None
    def do_GET(self):
        if self.path == "/login":
            return self.answer(200, '<form><input type=hidden name="csrf" value="t&amp;1"></form>')
        if self.path == "/slow":
            return self.answer(200, "a" * 5000)
        if self.path == "/long":
            return self.answer(200, "b" * 65536 + "secret")
        if self.path.startswith("/status/"):
            return self.answer(int(self.path[8:]), "odd")
        if self.path == "/odd":
            return self.answer(200, '{"empty": "", "half": "\\\\ud83d"}')
        if self.user is None:
            return self.answer(401, "Who are you?")
        mine = [note for note in notes if note["of"] == self.user]
        found = [note for note in mine if self.path == f"/notes/{note['id']}"]
        if self.path == "/notes":
            return self.answer(200, json.dumps({"items": mine}))
        self.answer(200 if found else 404, json.dumps(found))
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if kind.startswith("multipart/"):
            head = f"Content-Type: {kind}\\r\\n\\r\\n".encode()
            parts = email.parser.BytesParser().parsebytes(head + body).get_payload()
            told = [[part.get_filename(), part.get_content_type(), part.get_payload()] for part in parts]
            return self.answer(201, json.dumps(told))
        if kind == "application/json":
            notes.append({"id": len(notes) + 7, "of": self.user, **json.loads(body)})
            return self.answer(303, "", ("Location", f"http://127.0.0.1:{os.environ['PORT']}/notes/{notes[-1]['id']}"))
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form.get("csrf") != "t&1":
            return self.answer(403, "A forged form.")
        session = f"s-{len(users)}"
        users[session] = form["name"]
        self.answer(303, "", ("Location", "/"), ("Set-Cookie", f"session={session}; HttpOnly"))
    def answer(self, status, text, *headers):
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def logged_in(name: str, visitor: str = "") -> list[dict[str, Any]]:
    take = [{"name": "csrf", "source": "field", "at": "csrf"}]
    form = {"csrf": "{{csrf}}", "name": name}
    return [
        {"path": "/login", "take": take, "visitor": visitor},
        {"method": "POST", "path": "/login", "form": form, "expect_status": 303, "visitor": visitor},
    ]


def noted(take: dict[str, str]) -> dict[str, Any]:
    body = {"text": "milk", "n": 5}
    return {"method": "POST", "path": "/notes", "body": body, "expect_status": 303, "take": [take]}


def odd(name: str) -> dict[str, Any]:
    return {"path": "/odd", "take": [{"name": "x", "source": "json", "at": name}]}


WHERE = {"name": "where", "source": "header", "at": "Location"}
ID = {"name": "id", "source": "text", "at": r'"id": (\d+)'}
NUMBER = {"name": "id", "source": "json", "at": "$.items[0].id"}
PICTURE = {"field": "f", "filename": 'a".png', "content": "AP8=", "base64": True, "type": "image/png"}
LISTED = {"path": "/notes", "expect_json": {"items": [{"n": 5}]}}


@pytest.fixture(scope="module")
async def box(runtime: Runtime) -> AsyncIterator[Workspace]:
    job = uuid4()
    workspace = await runtime.attach(job, fence=1, create=True)
    await workspace.save("server.py", APP.encode())
    manifest = {"start": "exec python3 server.py 2>/dev/null", "health": "/login"}
    await workspace.save("boardroom.json", json.dumps(manifest).encode())
    await workspace.commit("App", "Builder")
    yield workspace
    await workspace.close()
    await runtime.destroy(job)


async def result_of(box: Workspace, **more: Any) -> CheckResult:
    head = await box.head()
    assert head is not None
    check = {"id": "h", "criterion": 0, **more}
    return await box.check(head.sha, HttpCheck.model_validate(check))


@pytest.mark.parametrize(
    "more",
    [
        {"path": "/notes", "expect_status": 401},
        {"steps": logged_in("ada"), "path": "/notes", "expect_json": {"items": []}},
        {"steps": [*logged_in("ada"), noted(WHERE)], "path": "{{where}}", "expect_text": "milk"},
        {"steps": [*logged_in("ada"), noted(WHERE), {**LISTED, "take": [ID]}], "path": "/notes/{{id}}"},
        {"steps": [*logged_in("ada"), noted(WHERE), {**LISTED, "take": [NUMBER]}], "path": "/notes",
         "expect_json": {"items": [{"id": "{{id}}"}]}, "expect_text": 'd": {{id}}', "expect_no_text": "beer"},
        {"steps": [*logged_in("ada"), noted(WHERE), *logged_in("bob", "bob")], "path": "{{where}}",
         "visitor": "bob", "expect_status": 404},
        {"method": "POST", "path": "/files", "form": {"title": "A"}, "expect_status": 201,
         "files": [PICTURE], "expect_json": [['a%22.png', "image/png"], [None, "text/plain", "A"]]},
        {"path": "/login", "expect_headers": ["Server: Python", "date:"]},
        {"path": "/long", "expect_text": "bbb"},
    ],
)  # fmt: skip
async def test_what_passes(box: Workspace, more: dict[str, Any]) -> None:
    result = await result_of(box, **more)
    assert result.passed, result.output_tail


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"steps": logged_in("ada"), "path": "/none"},
         "1. GET /login → 200\n2. POST /login → 303 (location: /)\n3. GET /none → 404\n[]\n"
         "Request 3 of 3 failed: the status is 404, expected was 200"),
        ({"steps": [{"path": "/notes"}], "path": "/login"},
         "Request 1 of 2 failed: the status is 401, expected was one from 200 to 399"),
        ({"steps": [*logged_in("ada"), {"path": "/notes", "take": [NUMBER]}], "path": "/notes/{{id}}"},
         "Request 3 of 4 failed: id: the answer has no such value (json $.items[0].id)"),
        ({"steps": [{"path": "/login", "take": [{"name": "x", "source": "text", "at": "(f)orm"}]}],
          "path": "{{x}}"}, "Request 2 of 2 failed: its path would be 'f', which does not begin with /"),
        ({"steps": [{"path": "/slow", "take": [{"name": "x", "source": "text", "at": "^((a+)+)b$"}]}],
          "path": "/login"}, "Request 1 of 2 failed: x: it could not be looked for within 5 s"),
        ({"path": "/login", "expect_headers": ["Location: /"]}, "there is no header Location: /"),
        ({"path": "/login", "expect_no_text": "csrf"}, "the answer holds: csrf"),
        ({"path": "/long", "expect_no_text": "secret"},
         "the answer has more than 65536 bytes, so it is not known whether its end holds: secret"),
        ({"steps": [{"path": "/long", "expect_no_text": "b"}], "path": "/login"}, "the answer holds: b"),
        ({"steps": [{"path": "/status/150"}], "path": "/login"},
         "Request 1 of 2 failed: the status is 150, expected was one from 200 to 399"),
        ({"path": "/status/1000"}, "/status/1000 → no answer\n\nthe app gave no answer"),
        ({"steps": [odd("empty")], "path": "/login", "expect_text": "{{x}}"},
         "Request 1 of 2 failed: x: the answer has no such value (json empty)"),
        ({"steps": [odd("half")], "path": "/login"},
         "Request 1 of 2 failed: x: the value holds half a character (json half)"),
        ({"path": "/login", "expect_text": "captcha"}, "the answer does not hold: captcha"),
        ({"path": "/login", "expect_json": {}}, "the answer is no JSON"),
        ({"steps": logged_in("ada"), "path": "/notes", "expect_json": {"items": [1]}},
         'Request 3 of 3 failed: the JSON does not contain {"items": [1]}'),
    ],
)  # fmt: skip
async def test_what_fails_and_why(box: Workspace, more: dict[str, Any], said: str) -> None:
    result = await result_of(box, **more)
    assert not result.passed
    assert result.output_tail.endswith(said), result.output_tail


async def test_each_check_has_an_app_of_its_own(box: Workspace) -> None:
    for _ in range(2):
        steps = [*logged_in("ada"), noted(WHERE)]
        assert (await result_of(box, steps=steps, path="/notes/7", expect_text="milk")).passed


async def test_half_a_character_is_not_sent() -> None:
    async def run(_argv: list[str], _deadline_s: float) -> tuple[int | None, bytes]:
        raise AssertionError("nothing is to be looked for")

    asked = {"method": "POST", "path": "/", "form": {"text": "\ud83d"}}
    visit = await steps.play(1, [asked], run)
    assert (visit.answers, visit.problem) == ([], "it would hold half a character, which cannot be sent")

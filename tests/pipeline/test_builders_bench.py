"""What the Builder has on its bench: requests like a browser's, its ticket's checks, many calls in a turn."""

import orjson
import pytest
from sqlalchemy import select

from app.domain.errors import Conflict
from app.runtime.attachments import WorkerAttachment
from app.runtime.guest.web import Answer as Answered
from app.runtime.guest.web import Jar
from app.runtime.workspace import Commit, Workspace
from app.store.tables import Evidence
from tests.helpers.company import SERVER, builder, call, company
from tests.helpers.house import House
from tests.helpers.tools import use
from workers.agents.facts import BuildingFacts
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.ticket.attempt import MAX_CALLS_A_TURN, TOO_MANY
from workers.pipeline.ticket.output import shown

SHOP = """
import http.server, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, self.headers.get("Cookie", "nobody") + self.headers.get("X-Mine", ""))
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Content-Type"].startswith("application/x-www-form-urlencoded"):
            name = urllib.parse.parse_qs(text)["name"][0]
            self.answer(303, "", ("Location", "/"), ("Set-Cookie", f"user={name}; Path=/; HttpOnly"),
                ("Set-Cookie", "old=; Max-Age=0"))
        else:
            self.answer(200, text)
    def answer(self, status, text, *headers):
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


async def test_requests_are_made_as_a_browser_makes_them(box: Workspace) -> None:
    manifest = {"profile": "python-stdlib", "start": "exec python3 server.py", "health": "/"}
    await use(box, "write_file", path="boardroom.json", content=orjson.dumps(manifest).decode())
    await use(box, "write_file", path="server.py", content=SHOP)
    assert (await use(box, "start_app")).startswith("answering")
    said = await use(box, "request", method="POST", path="/in", form={"name": "Ada & Co"})
    assert (
        said
        == "303\nlocation: /\nset-cookie: user=Ada & Co; Path=/; HttpOnly\nset-cookie: old=; Max-Age=0\n\n"
    )
    assert await use(box, "request", path="/", headers=["x-mine: !"]) == "200\n\nuser=Ada & Co!"
    assert await use(box, "request", method="POST", path="/", body='{"a": 1}') == '200\n\n{"a": 1}'
    assert (await use(box, "request", path="/", body="", form={})).startswith("error: a request has a `form`")
    assert (await use(box, "request", path="/", headers=["a: b\r\nc: d"])).startswith("error: headers.0")
    assert (await use(box, "start_app")).startswith("answering")
    assert await use(box, "request", path="/") == "200\n\nnobody", "a new start is a new visitor"


def test_cookies_are_kept_until_they_are_taken_back() -> None:
    jar = Jar()

    def take(*lines: str) -> str:
        jar.take(Answered(200, [("set-cookie", line) for line in lines]))
        return jar.header

    assert (
        take("a=1; Path=/", "b=2; Expires=Fri, 31 Dec 2100 23:59:59 GMT", "c=3; Max-Age=60")
        == "a=1; b=2; c=3"
    )
    assert take("a=x; Expires=Thu, 01-Jan-1970 00:00:01 GMT") == "b=2; c=3"
    assert take("b=x; Expires=Sat, 01 Feb 2020 00:00:00 GMT", "c=3; Expires=never") == "c=3"
    assert take("c=; Path=/") == ""


async def test_several_edits_of_a_file_are_made_or_none(box: Workspace) -> None:
    await use(box, "write_file", path="a.txt", content="one two three")
    edits = [{"old": "one", "new": "1"}, {"old": "1 two", "new": "1 2"}]
    assert (await use(box, "edit_file", path="a.txt", edits=edits)).startswith("edited /app/a.txt")
    edits = [{"old": "three", "new": "3"}, {"old": "four", "new": "4"}]
    said = await use(box, "edit_file", path="a.txt", edits=edits)
    assert said.startswith("error: `old` of edit 2 of 2 stands 0 times in /app/a.txt")
    assert (await box.read("/app/a.txt")).content == b"1 2 three"
    for odd in ({"old": ""}, {"old": "three"}, {"new": "3"}, {"new": "3", "edits": edits}):
        assert (await use(box, "edit_file", path="a.txt", **odd)).startswith("error:"), odd
    assert (await box.read("/app/a.txt")).content == b"1 2 three"


async def test_a_command_has_a_port_and_may_sleep(box: Workspace) -> None:
    line = (
        'python3 -c "import os, socket; socket.create_server((\\"127.0.0.1\\", int(os.environ[\\"PORT\\"])))"'
    )
    assert (await use(box, "run_command", command=f"{line}; sleep 0.01; echo sleep 9999")).startswith(
        "exit code 0\nsleep 9999"
    )


def test_a_long_output_says_what_failed_first() -> None:
    noise = "".join(f"\x1b[32mok\x1b[0m {number}\n" for number in range(4000))
    text = f"{noise}E       AssertionError: 3 != 4\n" + "again\n" * 50 + "E       later\n"
    said = shown(text, 8000, failed=True)
    assert said.startswith("first failure: E       AssertionError: 3 != 4\nok 0\nok 1\n")
    assert "again\n(this line 49 more times)\nE       later" in said
    assert len(said) < 8500
    assert not shown(text, 8000, failed=False).startswith("first failure")
    assert shown("a\na\n\n\n\n\nb", 100, failed=False) == "a\na\n\n\n\n\nb"


async def test_the_builder_runs_a_check_of_its_ticket_before_it_finishes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {"profile": "python-stdlib", "start": "exec python3 server.py", "health": "/"}
    propose, full = WorkerAttachment.propose, [Conflict("There is no room left.", code="workspace_full")]

    async def once_refused(bench: WorkerAttachment) -> Commit:
        if full:
            raise full.pop()
        return await propose(bench)

    monkeypatch.setattr(WorkerAttachment, "propose", once_refused)
    turns = [
        call("run_check", id="c1"),
        call("write_file", path="server.py", content=SERVER.replace("hello", "helo")),
        call("write_file", path="boardroom.json", content=orjson.dumps(manifest).decode()),
        call("run_check", id="c1"),
        call("run_check", id="c9"),
        call("edit_file", path="server.py", old="helo", new="hello"),
        call("run_check", id="c1"),
        call("finish", summary="The front page says hello."),
    ]
    said: list[str] = []

    def first(question: Question) -> Line:
        if BuildingFacts.model_validate_json(question.messages[0].text).finished:
            return builder(question)
        said[:] = _results(question)
        return turns[len(said)]

    async with house.worker(ScriptedModel(company(building=first))):
        job = await house.until_finished(await house.begin(), 110)
    assert (job.status, job.verification) == ("build_done", "verified"), (job.error_message, said)
    assert said[0] == "error: There is no room left."
    assert said[3].startswith("failed\n")
    assert "helo" in said[3]
    assert said[4] == "error: this ticket has no check 'c9'; there are c1"
    assert said[6].startswith("passed")
    async with house.resources.look() as session:
        phases = await session.scalars(
            select(Evidence.phase).where(Evidence.job_id == job.id, ~Evidence.passed)
        )
        assert set(phases) <= {"red", "run"}, "what the Builder tries is no evidence"


async def test_calls_beyond_a_turns_limit_are_answered(house: House) -> None:
    told: list[str] = []

    def many(question: Question) -> Line:
        if not _results(question):
            calls = [call("write_file", path=f"f{n}", content="") for n in range(MAX_CALLS_A_TURN + 2)]
            return Answer("", "x", tuple(calls))
        told[:] = _results(question)
        return call("finish", summary="Enough.")

    async with house.worker(ScriptedModel(company(building=many))):
        await house.until_finished(await house.begin(), 110)
    assert [text == TOO_MANY for text in told] == [False] * MAX_CALLS_A_TURN + [True] * 2


def _results(question: Question) -> list[str]:
    return [message.text for message in question.messages if message.role == "tool"]

"""A client's entries through a continuation, over the wire: REST, socket, preview, a worker process, and a
model behind HTTP. The Builder does to its bench what careful and careless Builders do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.helpers.boxes import unavailable
from tests.helpers.company import DONE, MORE, PRD, REQUIREMENTS, call, company, story
from tests.helpers.guide_client import GuideClient
from tests.helpers.model_server import open_server
from tests.helpers.parts import Parts
from tests.helpers.service import serve
from tests.helpers.visitor import Visitor
from tests.helpers.wire_company import plays
from tests.helpers.worker_process import worker_process
from workers.agents.facts import BuildingFacts, TicketingFacts
from workers.agents.outputs import Backlog, PrdRequirement, Requirement, Requirements
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, Script

FRONT = """
import http.server, json, os, pathlib, subprocess, sys, time, urllib.request
STORES = [pathlib.Path("data/entries.txt"), pathlib.Path("notes.txt")]
back = subprocess.Popen([sys.executable, "back.py"])
def ask(path):
    try:
        return urllib.request.urlopen("http://127.0.0.1:9123" + path).read().decode()
    except OSError:
        return "the back end is away"
while back.poll() is None and "away" in ask("/"):
    time.sleep(0.02)
class Front(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kept = [store.read_text() if store.exists() else "" for store in STORES]
        self.answer(200, json.dumps(kept) if self.path == "/entries" else ask(self.path))
    def do_POST(self):
        entry = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for store in STORES:
            store.parent.mkdir(exist_ok=True)
            with store.open("a") as file:
                file.write(entry + ";")
                file.flush()
                os.fsync(file.fileno())
        self.answer(201, "noted")
    def answer(self, code, text):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Front).serve_forever()
"""
"""Keeps what is posted to it in two places, of which git ignores only the first. Its pages come from a back
end on a fixed port."""

BACK = """
import http.server
PAGES = {"/": "hello"}
class Back(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGES.get(self.path, "nothing").encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 9123), Back).serve_forever()
"""
WITH_CONTACT = BACK.replace('{"/": "hello"', '{"/": "hello", "/contact": "mail"')
BROKEN = WITH_CONTACT.replace("import http.server", "import http.server, nowhere")
MANIFEST = {"profile": "python-stdlib", "start": "python3 server.py", "health": "/health"}
MINE = call("request", method="POST", path="/entries", body="the builder's own")

PAGES = {"R1": story("T1", "/", "hello", "R1", []), "R2": story("T1", "/contact", "mail", "R2", [])}
WISHES = [
    REQUIREMENTS[0],
    Requirement(id="R2", title="Contact", description="How to write.", priority="must"),
]


def builds(question: Question) -> Line:
    """In the continuation it clears the data and makes an entry of its own, to try its page, which it then
    breaks with a last edit. The old back end goes on."""
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    if len(question.messages) > 1:
        return call("finish", summary="It is there.")
    if not shown.finished:
        calls = [
            call("write_file", path="server.py", content=FRONT),
            call("write_file", path="back.py", content=BACK),
            call("write_file", path="boardroom.json", content=orjson.dumps(MANIFEST).decode()),
            call("start_app"),
            MINE,
        ]
    elif not shown.failures:
        calls = [
            call("run_command", command="rm -rf data notes.txt"),
            call("write_file", path="back.py", content=WITH_CONTACT),
            call("start_app"),
            MINE,
            call("request", path="/contact"),
            call("write_file", path="back.py", content=BROKEN),
        ]
    else:
        calls = [call("write_file", path="back.py", content=WITH_CONTACT)]
    return Answer("", "scripted", tuple(calls))


def two_wishes() -> Script:
    """One page, and another one in a continuation."""

    def wanted(question: Question, sign: str) -> list[Requirement]:
        return WISHES if sign in question.messages[0].text else WISHES[:1]

    def ticketing(question: Question) -> Line:
        shown = TicketingFacts.model_validate_json(question.messages[0].text)
        pages = [PAGES[wish].model_copy(update={"parent": ""}) for wish in shown.uncovered]
        return Backlog(tickets=pages)

    def prd(question: Question) -> Line:
        promised = [
            PrdRequirement(id=wish.id, text=wish.title, priority=wish.priority)
            for wish in wanted(question, WISHES[1].description)
        ]
        return PRD.model_copy(update={"requirements": promised})

    analysis: Callable[[Question], Line] = lambda question: Requirements(  # noqa: E731
        summary="Pages.", requirements=wanted(question, MORE)
    )
    return company(intake=lambda _: DONE, analysis=analysis, prd=prd, ticketing=ticketing, building=builds)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("runtime", ["local", "docker"])
async def test_entries_made_in_the_preview_survive_a_continuation(
    parts: Parts, tmp_path: Path, runtime: str
) -> None:
    async with (
        serve(parts, tmp_path, cors_origins=None, workspace_runtime=runtime) as service,
        open_server() as models,
    ):
        found = await service.resources.runtime.examine()
        if not found.ok:
            unavailable(f"{found.detail} {found.remedy}")
        models.scripts["sk-one"] = [plays(two_wishes())]
        model = {"MODEL": "openai:tiny", "OPENAI_BASE_URL": models.url, "OPENAI_API_KEY": "sk-one"}
        client = GuideClient(service.url, service.url.replace("http", "ws"))
        await client.enter()
        async with worker_process(service, **model):
            job = await client.post("/api/jobs/", 201, {"prompt": "A page, please."})
            try:
                await _play(client, job["id"])
            finally:
                await service.resources.runtime.destroy(UUID(job["id"]))
                await client.http.aclose()


async def _play(client: GuideClient, job_id: str) -> None:
    visitor = Visitor(client.http, job_id)
    async with client.socket(job_id, "&since=0") as socket:
        await socket.until("jobStatus", status="build_done")
        assert (await visitor.open()).status_code == 200
        assert await entries(visitor) == ["", ""], "an entry of the Builder's was delivered"
        assert await visitor.enter("milk")
        assert await visitor.enter("bread")

        await client.post(f"/api/jobs/{job_id}/continue/", 202, {"requirements": MORE})
        await socket.until("jobStatus", status="building")
        assert await entries(visitor) == ["milk;bread;"] * 2, "the app goes on while something is built"
        await socket.until("jobStatus", status="build_done")

    assert await entries(visitor) == ["milk;bread;"] * 2
    assert (await visitor.ask("/contact")).text == "mail"
    assert len(visitor.addresses) == 1, "all that was read was read at one address"
    job = await client.get(f"/api/jobs/{job_id}/")
    assert job["verification"] == "verified"
    results: list[dict[str, Any]] = await client.get(f"/api/jobs/{job_id}/evidence/")
    contact = [item for item in results if item["check"].get("path") == "/contact"]
    assert [(item["phase"], item["passed"]) for item in contact] == [
        ("red", False),
        ("green", False),  # of the broken page; the old process would have answered
        ("green", True),
        ("final", True),
    ]


async def entries(visitor: Visitor) -> list[str]:
    """What the app has in each of its stores."""
    answer = await visitor.ask("/entries")
    assert answer.status_code == 200, answer.text
    kept: list[str] = json.loads(answer.text)
    return kept

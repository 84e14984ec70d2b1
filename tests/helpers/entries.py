"""An app that keeps what is posted to it, as a scripted Builder builds it and a client uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import orjson

from app.actions.workspaces import start_container
from app.runtime.live_app import AppHeld
from app.runtime.workspace import Workspace
from tests.helpers.company import call
from tests.helpers.house import House
from tests.helpers.waiting import until
from workers.agents.facts import BuildingFacts
from workers.llm.model import Question, ToolCall
from workers.llm.scripted import Line

SERVER = """
import http.server, os, pathlib, sys
PAGES = {"/": "hello"}
STORE = pathlib.Path("STORED")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = STORE.read_text() if self.path == "/entries" and STORE.exists() else PAGES.get(self.path)
        self.answer(200 if text is not None else 404, text or "nothing")
    def do_POST(self):
        STORE.parent.mkdir(exist_ok=True)
        with STORE.open("a") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])).decode() + ";")
            file.flush()
            os.fsync(file.fileno())
        self.answer(201, "noted")
    def answer(self, code, text):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
"""Keeps what is posted to it in one file."""


def builder(store: str) -> Any:
    """Builds the pages, makes entries of its own on the way, and clears the data as careful checks do."""

    def build(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        return calls(shown)[turn]

    def calls(shown: BuildingFacts) -> list[ToolCall]:
        mine = [
            call("run_command", command=f"rm -rf data {store}"),
            call("start_app"),
            call("request", method="POST", path="/entries", body='"the builder\'s own"'),
            call("finish", summary="It is there."),
        ]
        if not shown.finished:
            manifest = {"profile": "python-stdlib", "start": "python3 server.py", "health": "/"}
            server = SERVER.replace("STORED", store)
            return [
                call("write_file", path="/app/server.py", content=server),
                call("write_file", path="boardroom.json", content=orjson.dumps(manifest).decode()),
                *mine,
            ]
        page = shown.acceptance_criteria[0].split()
        old = 'PAGES = {"/": "hello"'
        return [
            call("edit_file", path="server.py", old=old, new=f'{old}, "{page[0]}": "by {page[2]}"'),
            *mine,
        ]

    return build


@asynccontextmanager
async def app_of(house: House, job_id: UUID) -> AsyncIterator[Workspace]:
    async def is_started() -> bool:
        with suppress(AppHeld):  # a moment after it went live
            await start_container(house.resources, house.user_id, job_id)
            return True
        return False

    await until(is_started)
    app = await house.resources.runtime.attach(job_id)
    try:
        yield app
    finally:
        await app.close()


async def enter(house: House, job_id: UUID, entry: str) -> None:
    async with app_of(house, job_id) as app:
        assert (await app.request("POST", "/entries", f'"{entry}"')).status == 201


async def entries(house: House, job_id: UUID) -> str:
    async with app_of(house, job_id) as app:
        answer = await app.request("GET", "/entries")
        return answer.body if answer.status == 200 else "(none)"

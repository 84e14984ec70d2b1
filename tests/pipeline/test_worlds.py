"""What the Builder has left running cannot make a check pass, and a check cannot make another one pass."""

from typing import Any

import orjson
import pytest

from tests.helpers.company import DONE, call, company
from tests.helpers.house import House
from workers.agents.facts import BuildingFacts
from workers.llm.model import Question, ToolCall
from workers.llm.scripted import Line, ScriptedModel

BACK = """
import http.server
class Back(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = WORDS
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", 9123), Back).serve_forever()
"""
FRONT = """
import http.server, os, subprocess, sys, time, urllib.request
back = subprocess.Popen([sys.executable, "back.py"])
def ask():
    try:
        return urllib.request.urlopen("http://127.0.0.1:9123/").read().decode()
    except OSError:
        return "the back end is away"
while back.poll() is None and "away" in ask():
    time.sleep(0.02)
class Front(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ask().encode())
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Front).serve_forever()
"""
"""A web process, and its back end on a fixed port."""

MANIFEST = {"profile": "python-stdlib", "start": "python3 server.py", "health": "/health"}


def builder(last_edit: str) -> Any:
    """Starts the app and looks at it, then edits the back end once more, which stays as it is in the old
    process."""

    def build(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        turn = sum(message.role == "assistant" for message in question.messages)
        return calls(shown)[turn]

    def calls(shown: BuildingFacts) -> list[ToolCall]:
        if shown.finished:
            return [call("finish", summary="It is there.")]
        return [
            call("write_file", path="server.py", content=FRONT),
            call("write_file", path="back.py", content=BACK.replace("WORDS", '"hello, by us"')),
            call("write_file", path="boardroom.json", content=orjson.dumps(MANIFEST).decode()),
            call("start_app"),
            call("request", path="/"),
            call("write_file", path="back.py", content=BACK.replace("WORDS", last_edit)),
            call("finish", summary="It says hello."),
        ]

    return build


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("last_edit", "status"), [('"hello, by us!"', "build_done"), ("broken(", "failed")])
async def test_an_old_process_of_the_app_does_not_answer_a_check(
    house: House, last_edit: str, status: str
) -> None:
    script = company(intake=lambda _: DONE, building=builder(last_edit))
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id, 200)
    assert job.status == status, job.error_message

"""A fixed plan of any number of tickets with five checks each, and a Builder that does it in no time.

Each ticket adds a part to one app: a module, two routes, a form's target and unit tests. The script is played
behind the wire, so that any version of the service can be asked to build it.
"""

import re
from collections.abc import Sequence

import orjson
from pydantic import BaseModel

from tests.helpers.company import DECISION, DONE, call
from tests.helpers.model_server import Exchange, Move, answer_streamed, answer_whole
from workers.agents.outputs import Comparison, Prd, PrdRequirement, Requirement, Requirements, Review, Turn
from workers.agents.roles import PROMPTS
from workers.llm.model import Answer, Tokens, ToolCall

SIGNATURE = 20
"""So many characters after a prompt's first sentence tell it from the others, and are the same in each
version."""

SERVER = """
import http.server, json, os, urllib.parse
PARTS = {}
# imports of parts


class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, _, rest = urllib.parse.urlsplit(self.path).path.strip("/").partition("/")
        if self.path in ("/", "/health"):
            self.answer(200, "ok " + " ".join(PARTS))
        elif name in PARTS:
            self.answer(200, PARTS[name].page(rest))
        else:
            self.answer(404, "There is no such page.")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        part = PARTS.get(self.path.strip("/"))
        self.answer(*((201, part.add(body)) if part else (404, "nothing")))

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
"""
PART = """
import json, os, sqlite3

FILE = "data/NAME.db"


def page(rest):
    if rest == "count":
        return json.dumps({"part": "NAME", "count": len(entries())})
    return "<h1>The page NAME</h1>" + "".join(f"<p>{entry}</p>" for entry in entries())


def add(entry):
    with opened() as database:
        database.execute("insert into entries values (?)", (json.dumps(entry),))
    return json.dumps({"added": entry})


def entries():
    if not os.path.exists(FILE):
        return []
    with opened() as database:
        return [json.loads(text) for (text,) in database.execute("select text from entries")]


def opened():
    os.makedirs("data", exist_ok=True)
    database = sqlite3.connect(FILE)
    database.execute("create table if not exists entries (text text)")
    return database
"""
TEST = """
import unittest
from NAME import page


class NAMETest(unittest.TestCase):
    def test_its_page(self):
        self.assertIn("NAME", page(""))

    def test_its_count(self):
        self.assertIn("count", page("count"))
"""
MARK = "# imports of parts"


def played(tickets: int) -> Move:
    """A company that plans and builds so many tickets."""
    lines = {path.stem: _signature(path.read_text("utf-8")) for path in PROMPTS.glob("*.md")}

    async def move(exchange: Exchange) -> None:
        first, *rest = exchange.body["messages"]
        said = _signature(first["content"])
        purpose = next((name for name, line in lines.items() if line == said), None)
        assert purpose, f"nobody knows this prompt: {first['content'][:300]}"
        answer = _answer(purpose, tickets, rest)
        await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)

    return move


def _signature(prompt: str) -> str:
    """What the prompt says after its first sentence, which is about us."""
    return re.split(r"running web app\.\s+", prompt, maxsplit=1)[-1][:SIGNATURE]


def _answer(purpose: str, tickets: int, messages: Sequence[dict[str, object]]) -> Answer:
    if purpose == "building":
        shown = orjson.loads(str(messages[0]["content"]))
        turn = sum(message["role"] == "assistant" for message in messages)
        calls = _turns(shown["ticket"].split()[-1], first=not shown["finished"])[turn]
        return Answer("", "", tuple(calls), Tokens(1, 1), "tool_calls")
    shapes: dict[str, BaseModel] = {
        "intake": DONE,
        "analysis": _requirements(),
        "discussion": Turn(message="Fine."),
        "decision": DECISION,
        "prd": _prd(),
        "comparison": Comparison(message="The plan has all of it."),
        "review": Review(message="I read it and have nothing to add."),
    }
    plan = orjson.dumps({"tickets": list(map(_ticket, range(tickets)))}).decode()
    text = plan if purpose == "ticketing" else shapes[purpose].model_dump_json()
    return Answer(text, "", (), Tokens(1, 1), "stop")


def _requirements() -> Requirements:
    only = Requirement(id="R1", title="Parts", description="An app of many parts.", priority="must")
    return Requirements(summary="Parts.", requirements=[only])


def _prd() -> Prd:
    item = PrdRequirement(id="R1", text="Parts", priority="must")
    return Prd(title="Parts", problem="None.", goals=["Parts"], users=["All"], requirements=[item])


def _ticket(place: int) -> dict[str, object]:
    name = f"part{place}"
    checks: list[dict[str, object]] = [
        {"kind": "command", "run": f"python3 -m unittest tests.test_{name}"},
        {"kind": "http", "path": f"/{name}", "expect_text": f"The page {name}"},
        {"kind": "http", "path": f"/{name}/count", "expect_json": {"count": 0}},
        {
            "kind": "http",
            "method": "POST",
            "path": f"/{name}",
            "body": {"title": "One"},
            "expect_status": 201,
            "expect_json": {"added": {"title": "One"}},
        },
        {"kind": "command", "run": f"python3 -c 'from {name} import page; print(page(\"\"))'"},
    ]
    return {
        "key": f"T{place + 1}",
        "type": "story",
        "title": f"Add the part {name}",
        "description": f"A page /{name} with entries.",
        "parent": "",
        "requirements": ["R1"],
        "depends_on": [f"T{place}"] if place else [],
        "acceptance_criteria": [f"{number} holds." for number in range(len(checks))],
        "checks": [{"id": f"c{number}", "criterion": number} | check for number, check in enumerate(checks)],
    }


def _turns(name: str, *, first: bool) -> list[list[ToolCall]]:
    """The Builder's calls, turn by turn."""
    begin = [call("write_file", path="server.py", content=SERVER)] if first else []
    new = f'{MARK}\nimport {name}\nPARTS["{name}"] = {name}'
    return [
        [
            *begin,
            call("write_file", path=f"{name}.py", content=PART.replace("NAME", name)),
            call("write_file", path=f"tests/test_{name}.py", content=TEST.replace("NAME", name)),
            call("edit_file", path="server.py", old=MARK, new=new),
        ],
        [call("run_command", command=f"python3 -m unittest tests.test_{name}")],
        [call("start_app"), call("request", path=f"/{name}")],
        [call("finish", summary=f"{name} is there.")],
    ]

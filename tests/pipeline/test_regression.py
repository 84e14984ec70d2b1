"""After a ticket those checks of earlier ones run that it may have touched; the others while a model is
awaited, and all of them at the end."""

import asyncio
from typing import Any

import orjson
import pytest

from app.domain.ticket import CHECK, AnyCheck
from app.store import rows
from app.store.rows import Seen
from app.store.tables import Ticket
from tests.helpers.company import BACKLOG, DONE, call, company, story
from tests.helpers.house import House, tickets
from tests.helpers.waiting import until
from workers.agents.facts import BuildingFacts
from workers.llm.model import Answer, Question, ToolCall
from workers.llm.scripted import Line, ScriptedModel
from workers.pipeline.proof import regression
from workers.pipeline.proof.regression import is_covered, read_diff

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/") or "index"
        found = os.path.exists(f"pages/{name}.txt")
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(open(f"pages/{name}.txt").read().encode() if found else b"nothing")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = orjson.dumps({"profile": "python-stdlib", "start": "python3 server.py", "health": "/"}).decode()
FINDS = 'name = self.path.strip("/") or "index"'
SPOILED = f'{FINDS}\n        name = "lost" if name[:2] == "ab" else name'
TEXTS = {"/": "hello", "/about": "by us", "/contact": "by mail", "/help": "tips"}
PLAN = BACKLOG.model_copy(
    update={
        "tickets": [
            *BACKLOG.tickets,
            story("T4", "/contact", "mail", "R2", ["T3"]),
            story("T5", "/help", "tips", "R2", ["T4"]),
        ]
    }
)


def builder(question: Question) -> Line:
    """One file for each page. With `/contact`, `/about` is lost, without a word of it in what is changed;
    with `/help` the text of `/about` is changed."""
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    turn = sum(message.role == "assistant" for message in question.messages)
    done = call("finish", summary="Done.")
    if shown.ticket.startswith("Mend"):
        mend = call("edit_file", path="server.py", old=SPOILED, new=FINDS)
        return [mend, done][turn]
    path = shown.ticket.removeprefix("Page ")
    name = path.strip("/") or "index"
    return [*_more(path), call("write_file", path=f"pages/{name}.txt", content=TEXTS[path]), done][turn]


def _more(path: str) -> list[ToolCall]:
    if path == "/":
        server = call("write_file", path="server.py", content=SERVER)
        return [server, call("write_file", path="boardroom.json", content=MANIFEST)]
    if path == "/contact":
        return [call("edit_file", path="server.py", old=FINDS, new=SPOILED)]
    return [call("write_file", path="pages/about.txt", content="by us!")] if path == "/help" else []


SCRIPT = company(intake=lambda _: DONE, ticketing=lambda _: PLAN, building=builder)


async def seen_of(house: House, ticket: Ticket) -> list[Seen]:
    async with house.resources.look() as session:
        return [item for item in await rows.evidence(session, ticket.job_id) if item.ticket_id == ticket.id]


async def test_what_is_not_touched_is_found_at_the_end_and_blamed_on_whoever_broke_it(house: House) -> None:
    """`/help` touches the page that was broken before it: that is none of its faults."""
    async with house.worker(ScriptedModel(SCRIPT)):
        job = await house.until_finished(await house.create())
    assert (job.status, job.verification) == ("build_done", "verified")
    by_title = {ticket.title: ticket for ticket in await tickets(house, job.id)}
    assert {title: ticket.attempts for title, ticket in by_title.items() if title != "The pages"} == {
        "Page /": 1,
        "Page /about": 1,
        "Page /contact": 1,
        "Page /help": 1,
        "Mend: /about says us.": 1,
    }
    culprit = by_title["Page /contact"].commit or ""
    assert (
        f"the commit {culprit[:10]} of “Page /contact” broke it"
        in by_title["Mend: /about says us."].description
    )
    after = [(item.phase, item.passed) for item in await seen_of(house, by_title["Page /about"])]
    assert after[:3] == [("red", False), ("green", True), ("regression", False)]
    assert ("final", False) in after
    assert after[-1] == ("final", True)


class Slow(ScriptedModel):
    """Is awaited at the ticket `/help` until `go` is set."""

    def __init__(self) -> None:
        super().__init__(SCRIPT)
        self.go = asyncio.Event()

    async def ask(self, question: Question, *rest: Any) -> Answer:
        if question.purpose == "building" and '"ticket":"Page /help"' in question.messages[0].text:
            await self.go.wait()
        return await super().ask(question, *rest)


async def test_while_a_model_is_awaited_the_others_run(house: House) -> None:
    model = Slow()
    async with house.worker(model):
        job_id = await house.create()

        async def is_seen() -> bool:
            found = {ticket.title: ticket for ticket in await tickets(house, job_id)}
            if "Page /about" not in found:
                return False
            seen = await seen_of(house, found["Page /about"])
            return ("regression", False) in [(item.phase, item.passed) for item in seen]

        await until(is_seen)
        model.go.set()
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")


async def test_it_is_dropped_when_the_next_ticket_is_judged(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = list[int](), list[int]()

    async def never_ends(*_: object) -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    monkeypatch.setattr("workers.pipeline.ticket.trial.look_on", never_ends)
    async with house.worker(ScriptedModel(SCRIPT)):
        job = await house.until_finished(await house.create())
    assert job.status == "build_done"
    assert begun
    assert len(begun) == len(ended)


def check(kind: str, **more: Any) -> AnyCheck:
    return CHECK.validate_python({"id": "c", "criterion": 0, "kind": kind, **more})


DIFF = """diff --git a/shop/orders.py b/shop/orders.py
--- a/shop/orders.py
+++ b/shop/orders.py
@@ -1,2 +1,2 @@
 route("/customers")
-route("/orders")
+route("/orders/open")
"""
FILES = ["/app/shop/orders.py", "/app/shop/customers.py", "/app/tests/test_customers.py", "/app/server.py"]


@pytest.mark.parametrize(
    ("asked", "touched"),
    [
        (check("file", path="shop/orders.py"), True),
        (check("file", path="/app/shop/orders.py"), True),
        (check("file", path="shop/customers.py"), False),
        (check("http", path="/orders/7?all=1"), True),
        (check("http", path="/api/v1/orders"), True),
        (check("http", path="/customers"), False),
        (check("http", path="/"), True),
        (check("page", path="/customers", expect_text="Ada"), False),
        (check("command", run="python3 -m unittest tests.test_orders"), True),
        (check("command", run="python3 -m unittest tests.test_customers"), False),
        (check("command", run="python3 -c 'import shop.orders'"), True),
        (check("command", run="make test"), True),
    ],
)
def test_what_a_ticket_touches(asked: AnyCheck, touched: bool) -> None:
    assert read_diff(DIFF, FILES).by(asked) is touched


def test_a_long_diff_touches_everything() -> None:
    long = DIFF + "+" + "x" * regression.DIFF_BYTES
    assert read_diff(long, FILES).by(check("http", path="/customers"))


@pytest.mark.parametrize(
    ("run", "covered"),
    [
        ("python3 -m unittest tests.test_shop", True),
        ("python3 -m unittest -v tests.test_shop.OrderTest.test_all tests.test_pages", True),
        ("python3 -m unittest tests.test_shop && true", False),
        ("python3 -m unittest tests.test_shop -k one", False),
        ("python3 -m unittest tests.check_shop", False),
        ("python3 -m unittest discover -s tests", False),
        ("python3 -m pytest tests/test_shop.py", False),
        ("python3 server.py", False),
    ],
)
def test_what_a_whole_run_of_unittest_covers(run: str, covered: bool) -> None:
    assert is_covered(check("command", run=run), ["python3 -m unittest discover"]) is covered
    assert not is_covered(check("command", run=run), ["node --test 'tests/*.test.js'"])
    assert not is_covered(check("command", run=run, expect_output="OK"), ["python3 -m unittest discover"])
    assert not is_covered(check("command", run=run, expect_exit=1), ["python3 -m unittest discover"])

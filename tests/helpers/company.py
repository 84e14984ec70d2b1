"""A scripted company that builds a very small app, for tests of the pipeline."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from workers.agents.facts import AskedTicket, BuildingFacts, TicketingFacts
from workers.agents.outputs import (
    Backlog,
    Checks,
    ClientReply,
    Comparison,
    DecisionRecord,
    Option,
    Prd,
    PrdRequirement,
    Requirement,
    Requirements,
    Review,
    TicketDraft,
    Turn,
)
from workers.llm.model import Answer, Question, ToolCall
from workers.llm.scripted import Line, Script, ScriptedModel

SERVER = """
import http.server, os
PAGES = {"/": "hello"}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = PAGES.get(self.path)
        self.send_response(200 if text else 404)
        self.end_headers()
        self.wfile.write((text or "nothing").encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

REQUIREMENTS = [
    Requirement(id="R1", title="Front page", description="It says hello.", priority="must"),
    Requirement(id="R2", title="About", description="It says who made it.", priority="should"),
]


def story(key: str, path: str, text: str, requirement: str, depends_on: list[str]) -> TicketDraft:
    check = {"id": "c1", "criterion": 0, "kind": "http", "path": path, "expect_text": text}
    return TicketDraft.model_validate(
        {
            "key": key,
            "type": "story",
            "title": f"Page {path}",
            "parent": "T1",
            "requirements": [requirement],
            "depends_on": depends_on,
            "acceptance_criteria": [f"{path} says {text}."],
            "checks": [check],
        }
    )


EPIC = TicketDraft.model_validate({"key": "T1", "type": "epic", "title": "The pages"})
BACKLOG = Backlog(
    tickets=[EPIC, story("T2", "/", "hello", "R1", []), story("T3", "/about", "us", "R2", ["T2"])]
)
OUTLINE = Backlog(tickets=[ticket.model_copy(update={"checks": []}) for ticket in BACKLOG.tickets])
"""What the Project Manager answers first. A backlog with checks is taken, too."""
PRD = Prd(
    title="Pages",
    problem="There are no pages.",
    goals=["Pages"],
    users=["Everybody"],
    requirements=[PrdRequirement(id=r.id, text=r.title, priority=r.priority) for r in REQUIREMENTS],
)
DECISION = DecisionRecord(
    message="Noted.", options=[Option(name="Small", in_favour="fast", against="small")], decision="Small."
)


DONE = ClientReply(reply="Thank you.", done=True, summary="Two pages.")
"""The one reply of a Client Partner who asks nothing."""


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(f"call-{name}", name, orjson.dumps(arguments).decode())


def checks(question: Question) -> Line:
    """The checks of a ticket of the backlog."""
    key = asked_ticket(question).ticket
    return Checks(checks=next(ticket.checks for ticket in BACKLOG.tickets if ticket.key == key))


def asked_ticket(question: Question) -> AskedTicket:
    """What a question for checks asks about. On a wire its two messages are one."""
    _, _, rest = question.messages[0].text.partition("\n\n")
    return AskedTicket.model_validate_json(rest or question.messages[1].text)


def builder(question: Question) -> Line:
    """Write what the ticket asks for, with one call in each turn, then finish."""
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    turn = sum(message.role == "assistant" for message in question.messages)
    return _calls(shown)[turn]


def _calls(shown: BuildingFacts) -> list[ToolCall]:
    if not shown.finished:
        manifest = {"profile": "python-stdlib", "start": "python3 server.py", "health": "/"}
        return [
            call("write_file", path="/app/server.py", content=SERVER),
            call("write_file", path="boardroom.json", content=orjson.dumps(manifest).decode()),
            call("finish", summary="The server answers."),
        ]
    page = shown.acceptance_criteria[0].split()
    old = 'PAGES = {"/": "hello"'
    return [
        call("edit_file", path="server.py", old=old, new=f'{old}, "{page[0]}": "by {page[2]}"'),
        call("run_command", command="grep -c PAGES server.py"),
        call("finish", summary="The page is there."),
    ]


def company(**changes: Any) -> Script:
    """The script of the company; `changes` replace the lines of a purpose."""
    lines: dict[str, list[Line] | Callable[[Question], Line]] = {
        "intake": [
            ClientReply(reply="Who is it for?", done=False),
            ClientReply(reply="Thank you.", done=True, summary="Two pages."),
        ],
        "analysis": lambda _: Requirements(summary="Two pages.", requirements=REQUIREMENTS),
        "discussion": lambda _: Turn(message="Fine."),
        "decision": lambda _: DECISION,
        "prd": lambda _: PRD,
        "ticketing": lambda _: OUTLINE,
        "checks": checks,
        "comparison": lambda _: Comparison(message="The plan has all of it."),
        "building": builder,
        "review": lambda _: Review(message="I read it and have nothing to add."),
    }
    return lines | changes


class HeldModel(ScriptedModel):
    """Answers the `held` questions only when `go` is set; `came` is set when one is waiting."""

    def __init__(self, purpose: str, **changes: Any) -> None:
        super().__init__(company(intake=lambda _: DONE, **changes))
        self.purpose, self.came, self.go = purpose, asyncio.Event(), asyncio.Event()

    async def ask(self, question: Question, *rest: Any) -> Answer:
        if question.purpose == self.purpose:
            self.came.set()
            await self.go.wait()
        return await super().ask(question, *rest)


def clumsy_builder(question: Question) -> Line:
    """As `builder`, but for further pages it does nothing until an attempt starts afresh."""
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    if shown.finished and not shown.fresh:
        return call("finish", summary="It is done, trust me.")
    return builder(question)


def mortal_company() -> Script:
    """A company whose answers depend only on the question, so that any process can continue. Two of its
    attempts fail their check."""
    return company(intake=lambda _: DONE, building=clumsy_builder)


MORE = "Add a contact page"
"""The message for a continuation that `growing_company` understands."""


def growing_company() -> Script:
    """A company that builds a third page in a continuation, whose ticket depends on the finished front
    page."""
    contact = Requirement(id="R3", title="Contact", description="How to write.", priority="must")
    item = PrdRequirement(id=contact.id, text=contact.title, priority=contact.priority)
    grown = PRD.model_copy(update={"requirements": [*PRD.requirements, item]})

    def analysis(question: Question) -> Line:
        more = [*REQUIREMENTS, contact] if MORE in question.messages[0].text else REQUIREMENTS
        return Requirements(summary=f"{len(more)} pages.", requirements=list(more))

    def prd(question: Question) -> Line:
        return grown if contact.id in question.messages[0].text else PRD

    def ticketing(question: Question) -> Line:
        shown = TicketingFacts.model_validate_json(question.messages[0].text)
        front = [ticket.id for ticket in shown.known if ticket.title == "Page /"]
        if not front:
            return BACKLOG
        page = story("T4", "/contact", "mail", contact.id, front)
        return Backlog(tickets=[page.model_copy(update={"parent": ""})])

    return company(intake=lambda _: DONE, analysis=analysis, prd=prd, ticketing=ticketing)

"""A scripted model that works well: what it builds with each profile in two runs, and its answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain.ticket import TicketType
from tests.helpers.company import call, company
from workers.agents.facts import AnalysisFacts, BuildingFacts, DiscussionFacts, PrdFacts, TicketingFacts
from workers.agents.outputs import (
    Backlog,
    ClientReply,
    DecisionRecord,
    Option,
    Prd,
    PrdRequirement,
    Requirement,
    Requirements,
    TicketDraft,
)
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, Script


@dataclass(frozen=True)
class Step:
    """One ticket: its check, the files that implement it, and what a visitor then sees at `path`."""

    wish: str
    check: dict[str, Any]
    files: dict[str, str]
    path: str
    shows: str


def good_company() -> Script:
    """A scripted company that builds any of `APPS`; the client's idea says which one."""
    scripts = {profile: _script(profile, *steps) for profile, steps in APPS.items()}

    def play(purpose: str) -> Callable[[Question], Line]:
        def line(question: Question) -> Line:
            said = " ".join(message.text for message in question.messages)
            profile = next(name for name, (first, _) in APPS.items() if first.wish in said)
            return scripts[profile][purpose](question)

        return line

    return company(**{purpose: play(purpose) for purpose in scripts["static"]})


def _script(profile: str, first: Step, second: Step) -> dict[str, Callable[[Question], Line]]:
    """The scripts for an app of `profile`: `first`, and `second` on a continuation."""
    steps = {"R1": first, "R2": second}

    def wanted(continuation: str) -> list[Requirement]:
        ids = ["R1", "R2"] if continuation else ["R1"]
        return [
            Requirement(id=rid, title=steps[rid].wish, description=steps[rid].wish, priority="must")
            for rid in ids
        ]

    def analysis(question: Question) -> Line:
        known = AnalysisFacts.model_validate_json(question.messages[0].text)
        return Requirements(summary=first.wish, requirements=wanted(known.continuation))

    def decision(question: Question) -> Line:
        offered = DiscussionFacts.model_validate_json(question.messages[0].text).profiles
        assert profile in [kind.name for kind in offered], "the box serves it"
        option = Option(name=profile, in_favour="fits", against="nothing")
        return DecisionRecord(message="Noted.", options=[option], decision="So it is.", profile=profile)

    def prd(question: Question) -> Line:
        asked = PrdFacts.model_validate_json(question.messages[0].text).requirements
        promises = [PrdRequirement(id=item.id, text=item.title, priority=item.priority) for item in asked]
        return Prd(title="App", problem="None yet.", goals=["One"], users=["All"], requirements=promises)

    def ticketing(question: Question) -> Line:
        uncovered = TicketingFacts.model_validate_json(question.messages[0].text).uncovered
        return Backlog(tickets=[_ticket(rid, steps[rid]) for rid in uncovered])

    def building(question: Question) -> Line:
        shown = BuildingFacts.model_validate_json(question.messages[0].text)
        step = next(step for step in steps.values() if step.wish == shown.ticket)
        if len(question.messages) > 1:
            return call("finish", summary="Done.")
        writes = (call("write_file", path=path, content=text) for path, text in step.files.items())
        return Answer("I write it.", "scripted", tuple(writes))

    done = ClientReply(reply="Thank you.", done=True, summary=first.wish)
    return {
        "intake": lambda _: done,
        "analysis": analysis,
        "decision": decision,
        "prd": prd,
        "ticketing": ticketing,
        "building": building,
    }


def _ticket(rid: str, step: Step) -> TicketDraft:
    return TicketDraft(
        key="T1",
        type=TicketType.STORY,
        title=step.wish,
        requirements=[rid],
        acceptance_criteria=[step.wish],
        checks=[{"id": "c1", "criterion": 0, **step.check}],
    )


BOOKS = """
from fastapi import FastAPI, status
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Books")
books: list["Book"] = []


class Book(BaseModel):
    title: str = Field(min_length=1, max_length=200)


@app.get("/health", response_class=PlainTextResponse)
def health() -> str:
    return "ok"


@app.post("/books", status_code=status.HTTP_201_CREATED)
def add(book: Book) -> Book:
    books.append(book)
    return book


@app.get("/books")
def search(SEARCH) -> list[Book]:
    return [book for book in books if WHICH]
"""
BOOKS_TEST = """
from fastapi.testclient import TestClient

from main import app, books


def test_it() -> None:
    books.clear()
    with TestClient(app) as client:
        for title in ("Emma", "Persuasion"):
            assert client.post("/books", json={"title": title}).status_code == 201
        assert client.post("/books", json={"title": ""}).status_code == 422
        assert [book["title"] for book in client.get("/booksQUERY").json()] == FOUND
"""
ALL = {"SEARCH": "", "WHICH": "True", "QUERY": "", "FOUND": "['Emma', 'Persuasion']"}
SOME = {
    "SEARCH": 'words: str = ""',
    "WHICH": "words.lower() in book.title.lower()",
    "QUERY": "?words=EMM",
    "FOUND": "['Emma']",
}

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The garden</title>
<link rel="stylesheet" href="style.css"><script src="app.js" type="module"></script>
<h1>The garden</h1>LINKS</html>
"""

COUNTER = """
import { useState } from "react"

export function App() {
  const [count, setCount] = useState(0)
  return (
    <main>
      <h1>Count: {count}</h1>
      <button onClick={() => setCount(count + 1)}>One more</button>
      MORE
    </main>
  )
}
"""
COUNTER_TEST = """
import { cleanup, fireEvent, render, screen } from "@testing-library/react"
import { afterEach, expect, test } from "vitest"

import { App } from "./App"

afterEach(cleanup)

test("it counts", () => {
  render(<App />)
  for (const name of PRESSED) {
    fireEvent.click(screen.getByRole("button", { name }))
  }
  expect(screen.getByRole("heading").textContent).toBe("Count: COUNTED")
})
"""
FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>TITLE</title>
<div id="root"></div><script type="module" src="/src/main.tsx"></script></html>
"""
RESET = "<button onClick={() => setCount(0)}>Again</button>"


def _with(text: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(name, value)
    return text


def _tested(command: str) -> dict[str, Any]:
    return {"kind": "command", "run": command, "timeout_s": 100}


def _counting(pressed: str, counted: str) -> str:
    return _with(COUNTER_TEST, {"PRESSED": pressed, "COUNTED": counted})


APPS: dict[str, tuple[Step, Step]] = {
    "static": (
        Step(
            "A page about the garden",
            {"kind": "http", "path": "/", "expect_text": "<h1>The garden</h1>"},
            {"public/index.html": _with(PAGE, {"LINKS": ""})},
            "/",
            "The garden",
        ),
        Step(
            "The opening hours",
            {"kind": "http", "path": "/hours.html", "expect_text": "from nine to five"},
            {
                "public/hours.html": _with(PAGE, {"LINKS": "from nine to five"}),
                "public/index.html": _with(PAGE, {"LINKS": "<a href='hours.html'>Hours</a>"}),
            },
            "/hours.html",
            "from nine to five",
        ),
    ),
    "fastapi": (
        Step(
            "Books are kept",
            _tested("python3 -m pytest -q tests/test_books.py"),
            {"main.py": _with(BOOKS, ALL), "tests/test_books.py": _with(BOOKS_TEST, ALL)},
            "/books",
            "[]",
        ),
        Step(
            "Books are found by their title",
            _tested("python3 -m pytest -q tests/test_search.py"),
            {"main.py": _with(BOOKS, SOME), "tests/test_search.py": _with(BOOKS_TEST, SOME)},
            "/openapi.json",
            '"name":"words"',
        ),
    ),
    "vite-react": (
        Step(
            "A counter",
            _tested("vitest run --configLoader native src/Counter.test.tsx"),
            {
                "index.html": _with(FRAME, {"TITLE": "A counter"}),
                "src/App.tsx": _with(COUNTER, {"MORE": ""}),
                "src/Counter.test.tsx": _counting('["One more", "One more"]', "2"),
            },
            "/",
            "<title>A counter</title>",
        ),
        Step(
            "It begins again",
            _tested("vitest run --configLoader native src/Reset.test.tsx"),
            {
                "index.html": _with(FRAME, {"TITLE": "It begins again"}),
                "src/App.tsx": _with(COUNTER, {"MORE": RESET}),
                "src/Reset.test.tsx": _counting('["One more", "Again"]', "0"),
            },
            "/",
            "<title>It begins again</title>",
        ),
    ),
}
"""By profile: what is built first, and what the continuation adds."""

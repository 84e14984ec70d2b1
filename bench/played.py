"""The plan and the tool calls of a recorded job, played by a model server to any version of the service.

A version is known by its questions: which purpose one has is read from the first words of its instructions,
which all versions share. A plan that was recorded with its checks is given in pieces to a version that asks
for them ticket by ticket.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.helpers.model_server import Exchange, answer_streamed, answer_whole
from workers.llm.model import Answer, ToolCall
from workers.llm.tape import Said, TapeLine

PURPOSES = {
    "intake": "You are the only one of us the client talks to",
    "analysis": "You turn what was said into requirements",
    "discussion": "Before anything is specified, CEO and CTO argue",
    "decision": "CEO and CTO have argued",
    "prd": "You write the product requirements document",
    "ticketing": "You cut the work into tickets",
    "checks": "For one of them you say how it is *proven*",
    "comparison": "You compare it, once, with what the client wrote",
    "building": "You do one ticket, in a Linux box",
    "review": "You are the last to read it",
}
"""Words at the beginning of the instructions for each purpose."""

IN_PIECES = "This answer is the outline"
"""Words in the instructions of a version that asks for checks ticket by ticket."""

COMPARED = {"message": "Nothing is missing.", "gaps": []}
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@dataclass
class Work:
    """The recorded turns of all attempts at a ticket, played as one: whether a first attempt fails may hang
    on a race."""

    ticket: str
    turns: list[Said] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A request: its purpose, what providers read, in their order (the tools, the answer's shape, the
    instructions, then the other messages), and for the Builder its ticket and attempt."""

    purpose: str
    parts: tuple[str, ...]
    attempt: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.parts)


class Player:
    """One job of one version. `asked` are all its requests, in order."""

    def __init__(self, lines: Sequence[TapeLine]) -> None:
        self.asked: list[Asked] = []
        self._said: dict[str, list[Said]] = defaultdict(list)
        self._works: list[Work] = []
        self._plan: dict[str, Any] = {}
        self._titles: dict[str, str] = {}
        for line in lines:
            if not isinstance(line, Said):
                continue
            if line.purpose != "building":
                self._said[line.purpose].append(line)
                continue
            if line.last:
                ticket = orjson.loads(line.last)["ticket"]
                if not self._works or self._works[-1].ticket != ticket:
                    self._works.append(Work(ticket))
                elif _finishes(self._works[-1].turns[-1]):
                    self._works[-1].turns.pop()
            self._works[-1].turns.append(line)
        for line in self._said["ticketing"]:
            self._titles |= {known["id"]: known["title"] for known in orjson.loads(line.last)["known"]}

    async def move(self, exchange: Exchange) -> None:
        """Answer one request."""
        messages = exchange.body["messages"]
        instructions: str = messages[0]["content"]
        purpose = next(name for name, words in PURPOSES.items() if words in instructions[:900])
        said = [turn for turn in messages[1:] if turn["role"] == "assistant"]
        first = _text(messages[1])
        answer = self._answer(purpose, instructions, first, len(said))
        attempt = ""
        if purpose == "building":
            facts = _first_object(first)
            attempt = f"{facts['ticket']} {facts['attempt']}"
        self.asked.append(Asked(purpose, _in_order(exchange.body), attempt))
        await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)

    def _answer(self, purpose: str, instructions: str, first: str, turns: int) -> Answer:
        if purpose == "building":
            return self._turn(_first_object(first), turns)
        if purpose == "comparison":
            return _says(COMPARED)
        if purpose == "checks":
            key = orjson.loads(first.rpartition("\n\n{")[2].join(["{", ""]))["ticket"]
            ticket = next(each for each in self._plan["tickets"] if each["key"] == key)
            return _says({"checks": ticket["checks"]})
        line = self._said[purpose].pop(0)
        if purpose != "ticketing":
            return Answer(line.text, "", (), None, "stop")
        now = {known["title"]: known["id"] for known in _first_object(first)["known"]}
        ids = {was: now[title] for was, title in self._titles.items() if title in now}
        self._plan = orjson.loads(_ID.sub(lambda found: ids.get(found[0], found[0]), line.text))
        if IN_PIECES not in instructions:
            return _says(self._plan)
        return _says({"tickets": [{**each, "checks": []} for each in self._plan["tickets"]]})

    def _turn(self, facts: dict[str, Any], turns: int) -> Answer:
        """The next recorded turn for this ticket; `finish` where there is none."""
        at = next((n for n, each in enumerate(self._works) if each.ticket == facts["ticket"]), None)
        if at is None or turns >= len(self._works[at].turns):
            return Answer("", "", (ToolCall("end", "finish", '{"summary": "Done."}'),), None, "tool_calls")
        line = self._works[at].turns[turns]
        if _finishes(line):
            del self._works[at]
        return Answer(line.text, "", tuple(line.calls), None, "tool_calls")


def _finishes(line: Said) -> bool:
    return any(call.name == "finish" for call in line.calls)


def _says(value: dict[str, Any]) -> Answer:
    return Answer(orjson.dumps(value).decode(), "", (), None, "stop")


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _first_object(text: str) -> dict[str, Any]:
    """The JSON object at the beginning of the text."""
    found: dict[str, Any] = orjson.loads(text.partition("\n\n{")[0])
    return found


def _in_order(body: dict[str, Any]) -> tuple[str, ...]:
    """What a provider reads, in the order in which its cache does: tools, the answer's shape, messages."""
    before = [orjson.dumps(body.get(name)).decode() for name in ("tools", "response_format")]
    return (*before, *map(_raw, body["messages"]))


def _raw(message: dict[str, Any]) -> str:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    said = [f"{call['name']} {call['arguments']}" for call in calls]
    return "\n".join([message["role"], _text(message), *said])

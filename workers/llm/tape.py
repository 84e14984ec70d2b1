"""A tape: a run as a file of JSON lines, and a model that plays it again.

The first line is a `Head`. Then come, in order, a `Prompt` before the first answer that was given to it, a
`Said` for each answer and a `Did` for each tool call's result. Answers are played strictly in this order;
results are there to be read, since a tool call is carried out again.

What a model was asked is on the tape too, so that a prompt that has changed since is seen, as a diff.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workers.llm.model import Answer, Hear, ModelMisbehaved, Question, Tokens, ToolCall

log = structlog.get_logger()

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
"""A file that is larger is no tape."""


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(Line):
    """The job: what the client said first (`idea`), in the chat (`said`) and afterwards (`wishes`), and how
    it ended. `note` says where the tape comes from."""

    line: Literal["tape"] = "tape"
    version: Literal[1] = 1
    note: str = ""
    idea: str
    said: list[str]
    wishes: list[str]
    status: str
    failure_code: str | None
    verification: str | None


class Prompt(Line):
    """The instructions with this digest, a line each."""

    line: Literal["prompt"] = "prompt"
    digest: str
    instructions: list[str]


class Asked(Line):
    """A question, as far as answers and results do not tell it: `prompt` is the digest of the instructions,
    `shape` that of the answer's schema and the tools, `last` the last message if it is no tool's result."""

    purpose: str
    prompt: str
    shape: str
    last: str


class Said(Line):
    """An answer."""

    line: Literal["said"] = "said"
    agent: str
    model: str
    asked: Asked
    text: str
    calls: list[ToolCall]
    tokens: Tokens | None
    finish_reason: str


class Did(Line):
    """What came of a tool call; long ones are cut."""

    line: Literal["did"] = "did"
    result: str


AnyLine = Annotated[Head | Prompt | Said | Did, Field(discriminator="line")]
_LINE: TypeAdapter[Head | Prompt | Said | Did] = TypeAdapter(AnyLine)


class NoTape(Exception):
    """The file is none; the message says why."""


def read_tape(path: Path) -> list[Head | Prompt | Said | Did]:
    """Raises NoTape."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NoTape(f"{path} is too large to be a tape.")
        lines = [_LINE.validate_json(line) for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise NoTape(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise NoTape(f"{path} is no tape of version {VERSION}.") from error
    if not lines or not isinstance(lines[0], Head):
        raise NoTape(f"{path} does not begin as a tape.")
    return lines


def of_question(question: Question) -> Asked:
    last = question.messages[-1]
    shape = orjson.dumps((question.schema, question.tools), option=orjson.OPT_SORT_KEYS).decode()
    return Asked(
        purpose=question.purpose,
        prompt=digest(question.instructions),
        shape=digest(shape),
        last=last.text if last.role == "user" else "",
    )


def digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


class TapeModel:
    """Plays the answers of one job. `changed` holds a diff of each prompt that is not what it was, by
    purpose.

    Ids that are new in every run are told apart by where they stand: an answer that names one names the one
    that stands in its place now.
    """

    def __init__(self, name: str, lines: Iterable[Head | Prompt | Said | Did]) -> None:
        self.name = name
        self.changed: dict[str, str] = {}
        self._prompts: dict[str, Prompt] = {}
        self._said: list[Said] = []
        self._place = 0
        self._ids: dict[str, str] = {}
        for line in lines:
            if isinstance(line, Prompt):
                self._prompts[line.digest] = line
            elif isinstance(line, Said):
                self._said.append(line)

    @property
    def left(self) -> int:
        """Answers that were not asked for yet."""
        return len(self._said) - self._place

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        """Raises ModelMisbehaved when the tape does not go on like this."""
        if not self.left:
            raise ModelMisbehaved(f"{self.name} is at its end, and {question.agent} is asked for more.")
        line = self._said[self._place]
        was, now = line.asked, of_question(question)
        if (line.agent, was.purpose) != (question.agent, now.purpose):
            raise ModelMisbehaved(
                f"{self.name} goes on with {line.agent} ({was.purpose}), but {question.agent} "
                f"({now.purpose}) is asked."
            )
        self._place += 1
        if (was.prompt, was.shape) != (now.prompt, now.shape):
            told = difference(self._prompts.get(was.prompt), question.instructions)
            if self.changed.get(now.purpose) != told:
                log.warning("tape.prompt_changed", purpose=now.purpose, difference=told)
            self.changed[now.purpose] = told
        self._ids.update(zip(_ids(was.last), _ids(now.last), strict=False))
        answer = self._answer(line)
        if hear:
            hear(answer.text)
        return answer

    def price(self, tokens: Tokens) -> float:
        """A tape costs nothing."""
        return 0.0

    def _answer(self, line: Said) -> Answer:
        calls = tuple(ToolCall(c.id, c.name, self._now(c.arguments)) for c in line.calls)
        return Answer(self._now(line.text), self.name, calls, line.tokens, line.finish_reason)

    def _now(self, text: str) -> str:
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)


_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def _ids(text: str) -> Iterator[str]:
    return (found[0] for found in _ID.finditer(text) if UUID(found[0]))


def difference(was: Prompt | None, instructions: str) -> str:
    """A diff for people."""
    if was is None:
        return "The instructions are other ones, and the old are not on the tape."
    lines = unified_diff(was.instructions, instructions.splitlines(), "on the tape", "now", lineterm="")
    return "\n".join(lines) or "The instructions are the same; the answer's shape or the tools are not."


def open_tape(path: Path) -> TapeModel:
    """Raises NoTape."""
    return TapeModel(f"tape:{path.stem}", read_tape(path))

"""A tape is a recorded job as a file of JSON lines. `TapeModel` plays it again without a model.

The first line is a `Head`. Then come, in order, a `Prompt` with its `Words` before the first answer that was
given to it, a `Said` for each answer and a `Did` for each tool call's result. Answers are played strictly in
this order; results are there to be read, since a tool call is carried out again.

What a model was asked is on the tape too, so that a prompt that has changed since is seen, as a diff. No
other line than a prompt's own changes with it, so the diff of two tapes is as small.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from workers.llm.model import Answer, Hear, ModelMisbehaved, Question, Tokens, ToolCall

log = structlog.get_logger()

VERSION = 2
MAX_BYTES = 64 * 1024 * 1024
"""A file that is larger is no tape."""


class Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Head(Line):
    """The job: what the client said first (`idea`), in the chat (`said`) and afterwards (`wishes`), and how
    it ended. `note` says where the tape comes from."""

    line: Literal["tape"] = "tape"
    version: Literal[2] = 2
    note: str = ""
    idea: str
    said: list[str]
    wishes: list[str]
    status: str
    failure_code: str | None
    verification: str | None


class Prompt(Line):
    """What an agent is given for a purpose from here on: instructions with this digest, and a schema of the
    answer and tools with that of `shape`. Its `Words` follow, none if they are not known any more."""

    line: Literal["prompt"] = "prompt"
    agent: str
    purpose: str
    digest: str
    shape: str


class Words(Line):
    """One line of the instructions."""

    line: Literal["words"] = "words"
    text: str


class Said(Line):
    """An answer. `last` is the last message of the question, if that is no tool's result."""

    line: Literal["said"] = "said"
    agent: str
    purpose: str
    model: str
    last: str
    text: str
    calls: list[ToolCall]
    tokens: Tokens | None
    finish_reason: str


class Did(Line):
    """What came of a tool call; long ones are cut."""

    line: Literal["did"] = "did"
    result: str


TapeLine = Head | Prompt | Words | Said | Did
_LINE: TypeAdapter[TapeLine] = TypeAdapter(Annotated[TapeLine, Field(discriminator="line")])


class Asked(BaseModel):
    """A question, as far as answers and results do not tell it: what a step keeps of it."""

    purpose: str
    prompt: str
    shape: str
    last: str


class NoTape(Exception):
    """The file is none; the message says why."""


def read_tape(path: Path) -> list[TapeLine]:
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


@dataclass
class Brief:
    """A prompt with its instructions."""

    prompt: Prompt
    words: list[str] = field(default_factory=list)


def briefed(lines: Iterable[TapeLine]) -> list[tuple[Said, Brief]]:
    """The answers, each with what its agent had been given. Raises NoTape when one had been given nothing."""
    briefs: dict[tuple[str, str], Brief] = {}
    newest, answers = None, []
    for line in lines:
        if isinstance(line, Prompt):
            newest = briefs[line.agent, line.purpose] = Brief(line)
        elif isinstance(line, Words) and newest:
            newest.words.append(line.text)
        elif isinstance(line, Said):
            if (brief := briefs.get((line.agent, line.purpose))) is None:
                raise NoTape(f"{line.agent} ({line.purpose}) answers on the tape before it has a prompt.")
            answers.append((line, brief))
    return answers


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
    """Plays the answers of one job; NoTape where it cannot be. `changed` holds a diff of each prompt that is
    not what it was, by purpose.

    Ids that are new in every run are told apart by where they stand: an answer that names one names the one
    that stands in its place now.
    """

    def __init__(self, name: str, lines: Iterable[TapeLine]) -> None:
        self.name = name
        self.changed: dict[str, str] = {}
        self._said = briefed(lines)
        self._place = 0
        self._ids: dict[str, str] = {}

    @property
    def left(self) -> int:
        """Answers that were not asked for yet."""
        return len(self._said) - self._place

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        """Raises ModelMisbehaved when the tape does not go on like this."""
        if not self.left:
            raise ModelMisbehaved(f"{self.name} is at its end, and {question.agent} is asked for more.")
        line, brief = self._said[self._place]
        now = of_question(question)
        if (line.agent, line.purpose) != (question.agent, now.purpose):
            raise ModelMisbehaved(
                f"{self.name} goes on with {line.agent} ({line.purpose}), but {question.agent} "
                f"({now.purpose}) is asked."
            )
        self._place += 1
        if (brief.prompt.digest, brief.prompt.shape) != (now.prompt, now.shape):
            told = difference(brief, question.instructions)
            if self.changed.get(now.purpose) != told:
                log.warning("tape.prompt_changed", purpose=now.purpose, difference=told)
            self.changed[now.purpose] = told
        self._ids.update(zip(_ids(line.last), _ids(now.last), strict=False))
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
    return (found[0] for found in _ID.finditer(text))


def difference(was: Brief, instructions: str) -> str:
    """A diff for people."""
    if not was.words:
        return "The instructions are other ones, and the old are not on the tape."
    lines = unified_diff(was.words, instructions.splitlines(), "on the tape", "now", lineterm="")
    return "\n".join(lines) or "The instructions are the same; the answer's shape or the tools are not."


def open_tape(path: Path) -> TapeModel:
    """Raises NoTape."""
    return TapeModel(f"tape:{path.stem}", read_tape(path))

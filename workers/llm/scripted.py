"""A model that answers from a script, and fails when the script has no line left. For tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from workers.llm.model import Answer, Hear, Question, Tokens, ToolCall

Line = str | BaseModel | ToolCall | Answer | Exception
"""A text, a shape that is sent as JSON, a tool call, a whole answer, or an error to raise."""

Script = Mapping[str, Sequence[Line] | Callable[[Question], Line]]
"""For each purpose the lines in their order, or a function from the question to a line."""


class ScriptRanOut(AssertionError):
    """The script has no line for this question."""


@dataclass
class ScriptedModel:
    """`asked` keeps every question, in order."""

    script: Script
    name: str = "scripted"
    asked: list[Question] = field(default_factory=list)

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        place = sum(earlier.purpose == question.purpose for earlier in self.asked)
        self.asked.append(question)
        lines = self.script.get(question.purpose, ())
        if callable(lines):
            return self._answer(lines(question))
        if place >= len(lines):
            raise ScriptRanOut(f"no line {place} for {question.purpose} ({question.agent})")
        return self._answer(lines[place])

    def price(self, tokens: Tokens) -> float | None:
        return 0.0

    def _answer(self, line: Line) -> Answer:
        if isinstance(line, Exception):
            raise line
        if isinstance(line, Answer):
            return line
        if isinstance(line, ToolCall):
            return Answer("", self.name, calls=(line,), tokens=Tokens(1, 1))
        text = line if isinstance(line, str) else line.model_dump_json()
        return Answer(text, self.name, tokens=Tokens(1, 1))

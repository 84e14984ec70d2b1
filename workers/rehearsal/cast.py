"""The cast as a model: each question goes to the member it is meant for."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from workers.agents.facts import (
    AnalysisFacts,
    AskedTicket,
    ComparisonFacts,
    DiscussionFacts,
    Facts,
    PrdFacts,
    ProvingFacts,
    ReviewFacts,
    TicketingFacts,
)
from workers.agents.outputs import Output
from workers.llm.model import Answer, Hear, ModelMisbehaved, Question, Tokens, ToolCall
from workers.rehearsal import analysis, building, conversation, discussion, planning

F = TypeVar("F", bound=Facts)

NAME = "rehearsal"
CHARACTERS_A_TOKEN = 4
PIECES = 8
"""An answer is heard in so many pieces."""

THINKING_S = {
    "intake": 0.9,
    "analysis": 2.0,
    "discussion": 2.0,
    "decision": 2.0,
    "prd": 2.5,
    "ticketing": 2.0,
    "checks": 0.3,
    "comparison": 0.5,
    "building": 0.6,
    "review": 2.0,
}
"""Seconds of pretended thinking before an answer, at pace 1: a build takes about half a minute of it."""


class RehearsalModel:
    """Answers by simple rules out of the question alone, so the same question always gets the same answer.

    `pace` stretches the time an answer takes; 0 answers at once.
    """

    name = NAME

    def __init__(self, pace: float = 1.0) -> None:
        self._pace = pace

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        """Raises ModelMisbehaved for a purpose the cast has no part for, or facts it cannot read."""
        answer = _play(question)
        for piece in range(1, PIECES + 1):
            await asyncio.sleep(self._pace * THINKING_S.get(question.purpose, 0) / PIECES)
            if hear:
                hear(answer.text[: len(answer.text) * piece // PIECES])
        return answer

    def price(self, tokens: Tokens) -> float:
        """The cast costs nothing."""
        return 0.0


def _play(question: Question) -> Answer:
    part = _PARTS.get(question.purpose)
    if question.purpose != "building" and part is None:
        raise ModelMisbehaved(f"The rehearsal cast has no part for {question.purpose!r}.")
    try:
        if part is None:
            return _answer(question, *building.next_act(question.messages))
        return _answer(question, part(question).model_dump_json())
    except ValueError as error:
        raise ModelMisbehaved(f"The rehearsal cast lost its thread at {question.purpose!r}.") from error


def _facts(question: Question, shape: type[F]) -> F:
    """Raises ValueError when the first message does not hold them."""
    if not question.messages:
        raise ValueError("there is no message")
    return shape.model_validate_json(question.messages[0].text)


def _asked(question: Question) -> AskedTicket:
    """Raises ValueError when the second message does not say which ticket is asked about."""
    if len(question.messages) < 2:
        raise ValueError("there is no second message")
    return AskedTicket.model_validate_json(question.messages[1].text)


_PARTS: dict[str, Callable[[Question], Output]] = {
    "intake": lambda question: conversation.reply(question.messages),
    "analysis": lambda question: analysis.requirements(_facts(question, AnalysisFacts)),
    "discussion": lambda question: discussion.turn(question.agent, _facts(question, DiscussionFacts)),
    "decision": lambda question: discussion.decision(_facts(question, DiscussionFacts)),
    "prd": lambda question: planning.prd(_facts(question, PrdFacts)),
    "ticketing": lambda question: planning.backlog(_facts(question, TicketingFacts)),
    "checks": lambda question: planning.checks(_facts(question, ProvingFacts), _asked(question)),
    "comparison": lambda question: discussion.comparison(_facts(question, ComparisonFacts)),
    "review": lambda question: discussion.review(_facts(question, ReviewFacts)),
}


def _answer(question: Question, text: str, calls: tuple[ToolCall, ...] = ()) -> Answer:
    """Tokens are estimated from lengths; the cast costs nothing."""
    asked = len(question.instructions) + sum(
        len(message.text) + sum(len(call.arguments) for call in message.calls)
        for message in question.messages
    )
    said = len(text) + sum(len(call.arguments) for call in calls)
    return Answer(
        text=text,
        model=NAME,
        calls=calls,
        tokens=Tokens(asked // CHARACTERS_A_TOKEN + 1, said // CHARACTERS_A_TOKEN + 1),
        finish_reason="tool_calls" if calls else "stop",
    )

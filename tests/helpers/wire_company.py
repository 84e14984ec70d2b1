"""A scripted company behind HTTP: it finds the role and the question in the request itself."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.helpers.model_server import Exchange, Move, answer_streamed, answer_whole
from workers.agents.network import TOLD
from workers.agents.roles import ROLES
from workers.llm.model import Answer, Message, Question, Tokens, ToolCall
from workers.llm.scripted import Script, ScriptedModel

Misfortunes = dict[str, Sequence[Move] | Move]
"""By purpose, the moves to make instead of answers: a sequence, one after the other, or one move for ever."""


def question_of(exchange: Exchange) -> Question:
    """The purpose of a request, which says the role and the question."""
    first, *rest = exchange.body["messages"]
    role = next(
        role for role in ROLES if any(first["content"].startswith(role.instructions(mode)) for mode in TOLD)
    )
    return Question(role.agent, role.purpose, first["content"], tuple(_message(turn) for turn in rest))


def _message(turn: dict[str, Any]) -> Message:
    calls = [
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in turn.get("tool_calls") or ()
    ]
    return Message(turn["role"], turn.get("content") or "", tuple(calls), turn.get("tool_call_id", ""))


def _bill(exchange: Exchange, answer: Answer) -> Tokens:
    """An estimate of about four characters a token, as real servers count."""
    said = len(answer.text) + sum(len(call.arguments) for call in answer.calls)
    return Tokens(len(str(exchange.body)) // 4, min(said // 4 + 1, exchange.body["max_tokens"]))


def plays(
    script: Script,
    misfortunes: Misfortunes | None = None,
    bill: Callable[[Exchange, Answer], Tokens] = _bill,
) -> Move:
    """A move that answers as `script` says, with a plausible usage, unless `misfortunes` say otherwise."""
    model = ScriptedModel(script)
    met: dict[str, int] = {}

    async def move(exchange: Exchange) -> None:
        question = question_of(exchange)
        bad = (misfortunes or {}).get(question.purpose)
        place = met[question.purpose] = met.get(question.purpose, -1) + 1
        if callable(bad):
            await bad(exchange)
        elif bad is not None and place < len(bad):
            await bad[place](exchange)
        else:
            answer = await model.ask(question)
            billed = Answer(answer.text, "", answer.calls, bill(exchange, answer), answer.finish_reason)
            await (answer_streamed if exchange.streamed else answer_whole)(exchange, billed)

    return move

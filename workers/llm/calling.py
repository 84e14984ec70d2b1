"""One answer, whatever it takes: again after a pause, then from the fallback; each request is entered first.

Nothing here knows a library or a table: the ledger enters what is reserved, used and lost.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import orjson

from app.domain.budget import Use
from app.domain.values import clean
from workers.llm.lineup import Patience
from workers.llm.model import Answer, Hear, Model, ModelUnavailable, Question, Then, Tokens, ToolCall

ASCII = bytes(range(128))
BYTES_A_TOKEN = 2
BYTES_A_TOKEN_BEYOND_ASCII = 1.5
"""Fewer than any vocabulary of today: an estimate of the input that the bill will not exceed."""

BEYOND_BELIEF = 10
"""So many times the worst case no request has used."""


class Ledger(Protocol):
    """Where requests are entered."""

    async def reserve(self, model: Model, worst: Use) -> int:
        """The number of the attempt. Raises what ends the run when no budget is left for it."""

    async def fail(self, attempt: int, outcome: str, used: Use | None, latency_ms: int) -> None:
        """The request came to nothing; None: it may cost all that was reserved."""

    async def rest(self, seconds: float) -> None:
        """Wait before the next attempt; may raise what ends the waiting."""


@dataclass(frozen=True)
class Called:
    """`attempt` is still to be settled with `used`, together with the answer being stored."""

    answer: Answer
    attempt: int
    used: Use | None
    latency_ms: int


async def call(
    models: Sequence[Model],
    question: Question,
    ledger: Ledger,
    patience: Patience,
    hear: Hear | None = None,
) -> Called:
    """An answer from the first of `models` that gives one. Raises ModelUnavailable, and what `ledger` raises.
    `hear` is told from the beginning again when an attempt broke off."""
    said: list[str] = []
    for model in models:
        try:
            return await _ask_until(model, question, ledger, patience, hear)
        except ModelUnavailable as problem:
            said.append(str(problem))
            if problem.then is Then.NOTHING:
                break
    raise ModelUnavailable(" ".join(said), then=Then.NOTHING)


async def _ask_until(
    model: Model, question: Question, ledger: Ledger, patience: Patience, hear: Hear | None
) -> Called:
    pause = patience.first_pause_s
    for left in reversed(range(patience.tries)):
        try:
            return await _ask_once(model, question, ledger, hear)
        except ModelUnavailable as problem:
            wait = problem.retry_after or 0.0
            if problem.then is not Then.AGAIN or not left or wait > patience.longest_wait_s:
                raise
        # Spread, so that many jobs that failed together do not come back together.
        await ledger.rest(max(wait, pause * random.uniform(0.5, 1.0)))  # noqa: S311
        pause = min(2 * pause, patience.longest_pause_s)
    raise AssertionError("the last attempt returns or raises")


async def _ask_once(model: Model, question: Question, ledger: Ledger, hear: Hear | None) -> Called:
    worst = worst_case(question)
    reserved = Use(worst.input, worst.output, cost_usd=model.price(worst))
    attempt = await ledger.reserve(model, reserved)
    began = monotonic()
    try:
        answer = await model.ask(question, hear)
    except ModelUnavailable as problem:
        used = None if problem.may_cost else Use(0, 0)
        await ledger.fail(attempt, problem.outcome, used, _since(began))
        raise
    return Called(_stored(answer), attempt, _used(model, answer.tokens, worst), _since(began))


def worst_case(question: Question) -> Tokens:
    """No less than what a request can use: the whole of it by its bytes, and an answer of full length."""
    body = orjson.dumps(question)
    wide = len(body.translate(None, ASCII))
    sent = (len(body) - wide) / BYTES_A_TOKEN + wide / BYTES_A_TOKEN_BEYOND_ASCII
    return Tokens(int(sent) + 1, question.max_tokens)


def _used(model: Model, tokens: Tokens | None, worst: Tokens) -> Use | None:
    """What is billed; None where nobody said, or what was said cannot be."""
    if tokens is None or min(tokens.input, tokens.output, tokens.cached) < 0:
        return None
    if tokens.input > BEYOND_BELIEF * worst.input or tokens.output > BEYOND_BELIEF * worst.output:
        return None
    cached = min(tokens.cached, tokens.input)
    return Use(tokens.input, tokens.output, cached, model.price(Tokens(tokens.input, tokens.output, cached)))


def _stored(answer: Answer) -> Answer:
    """The answer without what cannot be stored: it is paid for, so it must not be lost over a character."""
    calls = tuple(ToolCall(clean(c.id), clean(c.name), clean(c.arguments)) for c in answer.calls)
    return Answer(
        text=clean(answer.text),
        model=answer.model,
        calls=calls,
        tokens=answer.tokens,
        finish_reason=answer.finish_reason,
        thoughts=clean(answer.thoughts),
    )


def _since(began: float) -> int:
    return round((monotonic() - began) * 1000)

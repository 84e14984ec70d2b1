"""Gets one answer: asks again after a pause, then asks the fallback. Each request is entered in a ledger
first.

This module knows neither a library of models nor a table. The ledger stores what is reserved, used and lost.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Protocol, runtime_checkable

import orjson

from app.domain.budget import Use
from app.domain.values import clean
from workers.llm.lineup import Patience
from workers.llm.model import Answer, Hear, Model, ModelUnavailable, Question, Then, Tokens, ToolCall

ASCII = bytes(range(128))
BYTES_A_TOKEN = 2
BYTES_A_TOKEN_BEYOND_ASCII = 1.5
"""Fewer bytes than a token has in any vocabulary of today, so that the bill does not exceed the estimate."""

BEYOND_BELIEF = 10
"""A bill of more than so many times the worst case is not believed."""


class Ledger(Protocol):
    """Stores what requests reserve and use."""

    async def reserve(self, model: Model, worst: Use) -> int:
        """Reserve the worst case; returns the number of the attempt. Raises if the budget does not allow
        it."""

    async def fail(self, attempt: int, outcome: str, used: Use | None, latency_ms: int) -> None:
        """The request failed. `used` is None if it may have cost all that was reserved."""

    async def rest(self, seconds: float) -> None:
        """Wait before the next attempt. May raise to end the wait."""


@runtime_checkable
class Thinks(Protocol):
    """A model whose answers need `room`: so many tokens for thoughts, beside those that a question allows."""

    @property
    def room(self) -> int: ...


@dataclass(frozen=True)
class Called:
    """An answer. The caller stores it together with the bill of `attempt`, which has cost `used`."""

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
    """An answer from the first of `models` that gives one. `hear` gets the text so far; after an attempt that
    broke off it starts from the beginning again. Raises ModelUnavailable, and what `ledger` raises. It is to
    be asked again (`Then.LATER`) if one of the models may recover."""
    problems: list[ModelUnavailable] = []
    for model in models:
        there_is_another = model is not models[-1]
        waits = replace(patience, in_slot_s=0) if there_is_another else patience
        try:
            return await _ask_until(model, question, ledger, waits, hear)
        except ModelUnavailable as problem:
            problems.append(problem)
            if problem.then is Then.NOTHING:
                break
    later = [problem.retry_after or 0.0 for problem in problems if problem.then is Then.LATER]
    raise ModelUnavailable(
        " ".join(map(str, problems)),
        then=Then.LATER if later else Then.NOTHING,
        retry_after=min(later, default=None),
    )


async def _ask_until(
    model: Model, question: Question, ledger: Ledger, patience: Patience, hear: Hear | None
) -> Called:
    pause, left, began = patience.first_pause_s, patience.tries, monotonic()
    while True:
        try:
            return await _ask_once(model, question, ledger, hear)
        except ModelUnavailable as problem:
            if problem.then is Then.AT_ONCE:
                continue  # something was learned, which happens once each
            if problem.then not in (Then.AGAIN, Then.LATER):
                raise
            # Random, so that jobs that failed at the same time do not all ask again at the same time.
            wait = max(problem.retry_after or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311
            left -= 1
            over = monotonic() - began + wait > patience.in_slot_s
            if wait > max(patience.in_slot_s, patience.longest_pause_s):
                raise
            if left <= 0 and (problem.then is Then.AGAIN or over):
                raise
        await ledger.rest(wait)
        pause = min(2 * pause, patience.longest_pause_s)


async def _ask_once(model: Model, question: Question, ledger: Ledger, hear: Hear | None) -> Called:
    if isinstance(model, Thinks):
        question = replace(question, max_tokens=question.max_tokens + model.room)
    worst = worst_case(question)
    reserved = Use(worst.input, worst.output, cost_usd=_dearest(model, worst))
    attempt = await ledger.reserve(model, reserved)
    began = monotonic()
    try:
        answer = await model.ask(question, hear)
    except ModelUnavailable as problem:
        used = _spent(model, problem, worst)
        await ledger.fail(attempt, problem.outcome, used, _since(began))
        raise
    return Called(_stored(answer), attempt, _used(model, answer.tokens, worst), _since(began))


def _spent(model: Model, problem: ModelUnavailable, worst: Tokens) -> Use | None:
    """What a failed request has cost; None if that may be all that was reserved."""
    if problem.spent is None:
        return None if problem.may_cost else Use(0, 0)
    spent = replace(problem.spent, input=problem.spent.input or worst.input)
    return _used(model, spent, worst)


def worst_case(question: Question) -> Tokens:
    """The most that a request can use: its input, estimated by its bytes, and an answer of the full
    length."""
    body = orjson.dumps(question)
    wide = len(body.translate(None, ASCII))
    sent = (len(body) - wide) / BYTES_A_TOKEN + wide / BYTES_A_TOKEN_BEYOND_ASCII
    return Tokens(int(sent) + 1, question.max_tokens)


def _dearest(model: Model, worst: Tokens) -> float | None:
    """The price if all of the input is written to the provider's cache, where that costs more."""
    prices = [model.price(worst), model.price(replace(worst, written=worst.input))]
    return max((price for price in prices if price is not None), default=None)


def _used(model: Model, tokens: Tokens | None, worst: Tokens) -> Use | None:
    """What the server has billed; None if it sent no bill, or one that cannot be true."""
    if tokens is None or min(tokens.input, tokens.output, tokens.cached, tokens.written) < 0:
        return None
    if tokens.input > BEYOND_BELIEF * worst.input or tokens.output > BEYOND_BELIEF * worst.output:
        return None
    cached = min(tokens.cached, tokens.input)
    written = min(tokens.written, tokens.input - cached)
    cost = model.price(Tokens(tokens.input, tokens.output, cached, written))
    return Use(tokens.input, tokens.output, cached, cost, written)


def _stored(answer: Answer) -> Answer:
    """The answer with characters replaced that cannot be stored: it was paid for and must not be lost."""
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

"""Durable steps: a result is stored before it is used. After a crash it is read, not made again."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.domain.values import clean
from app.store.spending import Bill
from app.store.tables import RunStep
from workers.context import Change, Context


@dataclass(frozen=True)
class Result:
    """The result of a step. `asked` is the part of a model's question that a tape needs (`llm.tape.Asked`),
    `tree` the git tree of the workspace after a tool call that may change files, `bill` what the answer
    cost."""

    payload: str
    agent: str = ""
    model: str = ""
    asked: str = ""
    tree: str | None = None
    bill: Bill | None = None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class Done:
    """A stored step: its payload, and the git tree of the workspace after it if it may have changed files."""

    payload: str
    tree: str | None


async def once(
    context: Context, key: str, kind: str, question: str, make: Callable[[], Awaitable[Result]]
) -> str:
    """Like `done`; returns the payload only."""
    return (await done(context, key, kind, question, make)).payload


async def done(
    context: Context, key: str, kind: str, question: str, make: Callable[[], Awaitable[Result]]
) -> Done:
    """Step `key` of this run. If it is stored, with the same question, the stored result is returned. Else
    `make` is called, and its result is stored and committed before it is returned. `kind` is `model` or
    `tool`."""
    asked = digest(question)
    stored = await context.step(key)
    if stored is not None and stored.digest == asked:
        return Done(stored.payload, stored.tree)
    context.heed_pause()
    async with context.turn.left():
        result = await make()
    payload = clean(result.payload)
    step = RunStep(
        run_id=context.run_id,
        key=key,
        kind=kind,
        agent=result.agent,
        model=result.model,
        asked=clean(result.asked),
        digest=asked,
        payload=payload,
        tree=result.tree,
    )
    await context.store(step, result.bill)
    return Done(payload, result.tree)


async def note(change: Change, key: str, payload: str) -> None:
    """Store a text that a later step needs, in the unit of `change`."""
    step = RunStep(
        run_id=change.run.id,
        key=key,
        kind="note",
        agent="",
        model="",
        asked="",
        digest="",
        payload=clean(payload),
    )
    await change.store(step)

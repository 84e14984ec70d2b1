"""Client Relations talks with the client until the idea is clear, then sums up.

Each message of the client gets exactly one reply, in order, which is written with all messages before it in
view. When Client Relations has summed up, messages without a reply go into the requirements and get none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.actions import changes
from app.domain.conversation import MAX_ROUNDS, STAGE_REQUIREMENTS, Agent
from app.domain.job import Status
from app.domain.stages import WaitingFor
from app.domain.values import clean
from app.store import rows
from app.store.tables import Message as Stored
from workers.agents.ask import Spoken, ask
from workers.agents.facts import SUM_UP
from workers.agents.outputs import ClientReply
from workers.agents.roles import CLIENT_RELATIONS
from workers.context import Change, Context
from workers.llm.model import Message
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome
from workers.pipeline.voice import speaking
from workers.waiting import wait


@dataclass(frozen=True)
class Turn:
    """The next reply: to the message `answers`, or, if that is None, a summary after the client has called
    `start/`."""

    messages: tuple[Message, ...]
    answers: UUID | None
    sum_up: bool


async def intake(context: Context) -> Outcome:
    while True:
        turn = await _next_turn(context)
        if turn is None:
            if await _wait(context):
                return Outcome.WAIT
            continue
        key = f"intake.{turn.answers or 'end'}"
        check = _must_end if turn.sum_up else _any
        async with speaking(context, CLIENT_RELATIONS.agent, "reply") as voice:
            spoken = await ask(
                context, key, CLIENT_RELATIONS, turn.messages, ClientReply, check, hear=voice.hear
            )
        async with context.change() as change:
            if await _reply(change, turn, spoken, voice.id):
                return Outcome.NEXT


async def _next_turn(context: Context) -> Turn | None:
    async with context.look() as session:
        job, _ = await context.mine(session)
        chat = await rows.chat(session, context.job_id)
    return next_turn(chat, must_end=job.start_asked or job.status != Status.COLLECTING)


def next_turn(chat: Sequence[Stored], *, must_end: bool) -> Turn | None:
    """The first message without a reply, with all messages before it. None if there is nothing to reply
    to."""
    replies = {message.answers: message for message in chat if message.answers is not None}
    said: list[Message] = []
    for message in chat:
        if message.role != "user":
            continue
        said.append(Message("user", message.content))
        reply = replies.get(message.id)
        if reply is None:
            sum_up = must_end or len(replies) >= MAX_ROUNDS
            return Turn(_with_order(said, sum_up), message.id, sum_up)
        said.append(Message("assistant", reply.content))
    return Turn(_with_order(said, True), None, True) if must_end else None


def _with_order(said: list[Message], sum_up: bool) -> tuple[Message, ...]:
    return (*said, Message("user", SUM_UP)) if sum_up else tuple(said)


async def _reply(change: Change, turn: Turn, spoken: Spoken[ClientReply], message_id: UUID) -> bool:
    """Store the reply. If it is the last one, its summary becomes the job's prompt. Returns whether it is the
    last."""
    job, reply = change.job, spoken.value
    changes.add_message(
        change.unit,
        job,
        "agent",
        Agent.CLIENT_RELATIONS,
        clean(reply.reply),
        {"stage": STAGE_REQUIREMENTS, "model": spoken.model},
        answers=turn.answers,
        message_id=message_id,
    )
    if not reply.done:
        return False
    job.prompt = job.requirements_summary = clean(reply.summary)
    end_stage(change)
    return True


async def _wait(context: Context) -> bool:
    """Let the run wait for the client, unless a message has come meanwhile. The job's row is locked, so none
    can come in between. Returns whether it waits."""
    async with context.change() as change:
        chat = await rows.chat(change.session, context.job_id)
        if next_turn(chat, must_end=change.job.start_asked) is not None:
            return False
        wait(change, WaitingFor.ANSWER)
    return True


def _any(_: ClientReply) -> None:
    """Both another question and a summary are allowed."""


def _must_end(reply: ClientReply) -> None:
    if not reply.done:
        raise ValueError("done: must be true now; sum up with what you know")

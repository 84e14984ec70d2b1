"""One attempt at a ticket: the Builder's tool loop. Each answer of the model and each tool result is a
durable step.

After a tool call that may change files, the guest records the git tree of the workspace, and the tree is
stored with the result. A worker that takes over restores the last stored tree and repeats the call that has
no result. So a change of files takes effect exactly once, and a command runs at least once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from app.domain.errors import Refusal
from app.domain.values import clip
from app.runtime.workspace import Workspace
from app.store import rows, run_steps
from workers.agents import tools
from workers.agents.ask import facts, speak
from workers.agents.facts import BuildingFacts
from workers.agents.reading import writes_calls
from workers.agents.roles import BUILDER
from workers.context import Context
from workers.llm.model import Answer, Message, ModelMisbehaved, ToolCall
from workers.pipeline.aloud import aloud
from workers.pipeline.proof.evidence import checks_of
from workers.pipeline.proof.runners import judged
from workers.pipeline.proof.trials import check_apart
from workers.pipeline.ticket import contest, toolbox
from workers.pipeline.ticket.ladder import plain
from workers.pipeline.ticket.memory import bounded
from workers.steps import Done, Result, done

MAX_TURNS = 40
MAX_CALLS_A_TURN = 32
MAX_SAME = 4
MAX_SILENT = 3
MAX_ENDLESS = 3
MAX_COMMANDS_S = 1800.0
"""Seconds for all commands and requests of an attempt together."""
CUT_OFF = " (the answer was cut off at its greatest length: write less in one)"
CALLS_IN_WORDS = (
    "{model} writes its tool calls as text, since its server makes no calls of them. Start the server with "
    "the model's tool parser (vLLM: --enable-auto-tool-choice --tool-call-parser, llama.cpp: --jinja)."
)
TOO_MANY = (
    f"error: not done: of one turn only the first {MAX_CALLS_A_TURN} calls are carried out. Call again."
)
NUDGE = "Use a tool; call `finish` when the ticket is done."


class GaveUp(Exception):
    """The attempt ended without a call of `finish`. The message says why."""


async def attempt(
    context: Context,
    workspace: Workspace,
    ticket_id: UUID,
    number: int,
    shown: BuildingFacts,
    tree: str,
    *,
    strong: bool = False,
) -> str:
    """Let the Builder work until it calls `finish`; returns its summary. `tree` is the git tree at which the
    attempt starts; with `strong` the model MODEL_STRONG is asked.

    Raises GaveUp, ModelUnavailable, ModelMisbehaved, BudgetSpent.
    """
    prefix = f"build.{ticket_id}.{number}."
    async with context.glance() as session:
        last = await run_steps.last_tree(session, context.run_id, prefix)
    await workspace.restore(last or tree)
    (first,) = facts(shown)
    turns: list[tuple[Message, ...]] = []
    limits = Limits(tree)
    while len(turns) < MAX_TURNS:
        key = f"{prefix}{len(turns)}"
        answer = await speak(
            context,
            key,
            BUILDER,
            bounded(first, turns),
            tools=tools.specs(),
            ticket_id=ticket_id,
            strong=strong,
        )
        began = monotonic()
        at = _At(context, workspace, ticket_id)
        results = [
            await _carry_out(at, f"{key}.{place}", call, answer.finish_reason)
            if place < MAX_CALLS_A_TURN
            else Done(TOO_MANY, None)
            for place, call in enumerate(answer.calls)
        ]
        finished = _finished(answer)
        if finished is not None:
            return finished
        limits.count(answer, results, monotonic() - began)
        turns.append(_turn(answer, [result.payload for result in results]))
    raise GaveUp(f"No `finish` within {MAX_TURNS} turns.")


@dataclass
class Limits:
    """Ends an attempt early that repeats the same call, runs commands that do not end, or calls no tools. A
    call counts as the same only if the files are the same, too. `tree` is the newest known tree of the
    workspace."""

    tree: str = ""
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    silent: int = 0
    endless: int = 0
    seconds: float = 0.0

    def count(self, answer: Answer, results: Sequence[Done], seconds: float) -> None:
        """Count one turn, whose tools took `seconds`. Raises GaveUp, ModelMisbehaved."""
        self.silent = 0 if answer.calls else self.silent + 1
        if self.silent >= MAX_SILENT and writes_calls(answer.text):
            raise ModelMisbehaved(CALLS_IN_WORDS.format(model=answer.model))
        if self.silent >= MAX_SILENT:
            raise GaveUp(f"{MAX_SILENT} answers in a row without a tool call.")
        for call, result in zip(answer.calls, results, strict=False):
            self.tree = result.tree or self.tree
            same = (call.name, call.arguments, plain(result.payload), self.tree)
            self.seen[same] += 1
            if self.seen[same] >= MAX_SAME:
                raise GaveUp(f"The same {clip(call.name, 60)} call with the same result {MAX_SAME} times.")
            self.endless += result.payload.startswith(toolbox.ENDLESS)
        if self.endless >= MAX_ENDLESS:
            raise GaveUp(f"{MAX_ENDLESS} commands that did not end by themselves.")
        self.seconds += seconds
        if self.seconds > MAX_COMMANDS_S:
            raise GaveUp(f"Its commands took more than {MAX_COMMANDS_S / 60:.0f} minutes.")


@dataclass(frozen=True)
class _At:
    """Where a tool is used: on the bench, for a ticket."""

    context: Context
    workspace: Workspace
    ticket_id: UUID


async def _carry_out(at: _At, key: str, call: ToolCall, finish_reason: str) -> Done:
    tool = toolbox.parse(call)
    if isinstance(tool, str):
        return Done(f"{tool}{CUT_OFF if finish_reason == 'length' else ''}", None)
    if isinstance(tool, tools.Finish):
        return Done("noted", None)

    async def make() -> Result:
        async with aloud(at.context, at.ticket_id) as hear:
            with at.context.progress.doing(f"{BUILDER.agent} uses {call.name}", at.ticket_id):
                said = await at.context.unless_paused(_use(at, tool, hear)) + toolbox.remark(call)
        tree = (
            await at.workspace.checkpoint(str(at.context.run_id), key.replace(".", "-"))
            if tool.changes
            else None
        )
        return Result(payload=said, agent=BUILDER.agent, tree=tree)

    return await done(at.context, key, "tool", f"{call.name} {call.arguments}", make)


async def _use(at: _At, tool: tools.Tool, hear: Callable[[str], None]) -> str:
    if not isinstance(tool, tools.RunCheck | tools.Contest):
        return await toolbox.use(at.workspace, tool, hear)
    async with at.context.glance() as session:
        ticket = await rows.ticket(session, at.ticket_id)
    checks = {check.id: check for check in checks_of(ticket)}
    if (check := checks.get(tool.id)) is None:
        gone = contest.of(ticket, tool.id)
        return (
            contest.told(gone)
            if gone
            else f"error: this ticket has no check {tool.id!r}; there are {', '.join(checks)}"
        )
    if isinstance(tool, tools.Contest) and (refused := contest.refusal(ticket, check)):
        return refused
    try:
        commit = await at.workspace.propose()
        result = judged(check, await check_apart(at.context, at.workspace, commit, check, hear))
    except Refusal as refusal:
        return f"error: {refusal.detail}"
    if isinstance(tool, tools.RunCheck):
        return toolbox.told_check(result)
    if result.passed:
        return "error: it passes on the files as they are now"
    return await contest.decide(at.context, ticket, check, tool, result)


def _finished(answer: Answer) -> str | None:
    for call in answer.calls[:MAX_CALLS_A_TURN]:
        tool = toolbox.parse(call)
        if isinstance(tool, tools.Finish):
            return tool.summary
    return None


def _turn(answer: Answer, results: list[str]) -> tuple[Message, ...]:
    """The turn as it is sent to the model again: its answer, then the results in the order of the calls."""
    said = Message("assistant", answer.text, answer.calls, thoughts=answer.thoughts)
    if not answer.calls:
        return (said, Message("user", NUDGE))
    pairs = zip(answer.calls, results, strict=True)
    return (said, *(Message("tool", text, call_id=call.id) for call, text in pairs))

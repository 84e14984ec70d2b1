"""The Builder: reads what is there, writes the step, runs the tests, looks at what failed, finishes.

A step is a script, written as a generator: it yields what it wants to do and is sent what came of it. The
cast has no memory, so with every question the script is played again up to the point where it stands.
"""

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from workers.agents.facts import BuildingFacts
from workers.agents.tools import EditFile, Finish, ReadFile, RunCommand, Tool, WriteFile
from workers.llm.model import Message, ToolCall
from workers.rehearsal.edits import as_tool
from workers.rehearsal.features import Change, Feature, feature
from workers.rehearsal.planning import RISK, understood
from workers.rehearsal.words import clipped

CALLS_AT_ONCE = 5
REFUSED = "error:"


@dataclass(frozen=True)
class Act:
    """What the Builder says, and the tools it uses."""

    say: str
    tools: tuple[Tool, ...]


Script = Generator[Act, list[str], str]
"""Yields acts, is sent the tools' results, returns the summary to finish with."""


def next_act(messages: Sequence[Message]) -> tuple[str, tuple[ToolCall, ...]]:
    """The Builder's next words and calls. Raises ValueError if no message holds the facts."""
    facts, results = _so_far(messages)
    script = _script(facts)
    try:
        act = next(script)
        for result in results:
            act = script.send(result)
    except StopIteration as end:
        act = Act(end.value, (Finish(summary=end.value),))
    step = len(results) + 1
    calls = tuple(
        ToolCall(f"call-{facts.attempt}-{step}-{index}", tool.name, tool.model_dump_json(exclude_none=True))
        for index, tool in enumerate(act.tools, start=1)
    )
    return act.say, calls


def _so_far(messages: Sequence[Message]) -> tuple[BuildingFacts, list[list[str]]]:
    """The facts of the newest attempt, and the results of each turn since."""
    for start in range(len(messages) - 1, -1, -1):
        if messages[start].role == "user":
            try:
                facts = BuildingFacts.model_validate_json(messages[start].text)
            except ValidationError:
                continue
            told = {message.call_id: message.text for message in messages[start:] if message.role == "tool"}
            turns = [message for message in messages[start:] if message.role == "assistant" and message.calls]
            return facts, [[told.get(call.id, "") for call in turn.calls] for turn in turns]
    raise ValueError("no message holds the facts of a ticket")


def _script(facts: BuildingFacts) -> Script:
    plan = understood(facts.requirements, facts.summary)
    stumbles = facts.attempt == 1 and RISK in facts.description
    step = feature(facts.ticket, plan, stumbles=stumbles)
    if step is None:
        return (
            f"“{facts.ticket}” is not a step the rehearsal cast knows how to build. I have changed nothing."
        )
    texts = yield from _look(facts, step)
    yield from _write(facts, step, texts)
    told = yield from _test(step)
    return f"{step.words} {told}"[:2000]


def _look(facts: BuildingFacts, step: Feature) -> Generator[Act, list[str], dict[str, str]]:
    """The files of this step that are there already, as they are now."""
    present = [path for path in dict.fromkeys([*step.files, *step.changes]) if path in facts.files]
    if not present:
        return {}
    say = _about_failure(facts, step) or f"“{facts.ticket}”: let me look at the code this touches."
    texts = yield Act(say, tuple(ReadFile(path=path) for path in present))
    return {path: text for path, text in zip(present, texts, strict=True) if not text.startswith(REFUSED)}


def _about_failure(facts: BuildingFacts, step: Feature) -> str:
    if facts.attempt == 1 or not facts.failures:
        return ""
    failure = facts.failures[0]
    last = next(
        (line.strip() for line in reversed(failure.output.splitlines()) if line.strip()), failure.reason
    )
    return f"The check “{failure.criterion}” failed: {clipped(last, 30)} {step.lesson}".strip()


def _write(facts: BuildingFacts, step: Feature, texts: dict[str, str]) -> Generator[Act, list[str], None]:
    """New files whole; of those that are there already, only what is different."""
    wanted: dict[str, str] = {}
    for path, text in step.files.items():
        wanted[path] = texts.get(path, text) if path in step.changes else text
    for path, changes in step.changes.items():
        before = wanted.get(path, texts.get(path, ""))
        wanted[path] = _changed(before, changes) or _changed(_as_left(path, facts, step), changes) or before
    tools = [_tool(path, texts.get(path), text) for path, text in wanted.items()]
    pending = [tool for tool in tools if tool is not None]
    for start in range(0, len(pending), CALLS_AT_ONCE):
        part = pending[start : start + CALLS_AT_ONCE]
        results = yield Act(step.words if start == 0 else _naming(part), tuple(part))
        failed = [tool for tool, result in zip(part, results, strict=True) if result.startswith(REFUSED)]
        if failed:
            again = tuple(WriteFile(path=tool.path, content=wanted[tool.path]) for tool in failed)
            yield Act("That edit did not fit the file as it is; I write the file as a whole.", again)


def _tool(path: str, before: str | None, after: str) -> EditFile | WriteFile | None:
    return WriteFile(path=path, content=after) if before is None else as_tool(path, before, after)


def _changed(text: str, changes: Sequence[Change]) -> str | None:
    for change in changes:
        after = change(text)
        if after is None:
            return None
        text = after
    return text


def _as_left(path: str, facts: BuildingFacts, step: Feature) -> str:
    """The file as the finished steps left it, for when what stands there cannot be made sense of."""
    plan = understood(facts.requirements, facts.summary)
    done = [found for title in facts.finished if (found := feature(title, plan, stumbles=False))]
    text = next((found.files[path] for found in [*done, step] if path in found.files), "")
    for found in done:
        text = _changed(text, found.changes.get(path, ())) or text
    return text


def _naming(tools: Sequence[EditFile | WriteFile]) -> str:
    return f"Next: {', '.join(tool.path for tool in tools)}."


def _test(step: Feature) -> Generator[Act, list[str], str]:
    """The tests of this step; a failure is looked at, and told as it is."""
    command = f"python3 -m unittest {' '.join(f'tests.{name}' for name in step.tests)}"
    (output,) = yield Act("Now the tests of this step.", (RunCommand(command=command),))
    if _passed(output):
        return "Its tests pass."
    seen = _blamed(output)
    if seen:
        yield Act(f"Not yet: {_complaint(output)} I look at {seen}.", (ReadFile(path=seen),))
    (output,) = yield Act("Once more, with every name shown.", (RunCommand(command=f"{command} -v"),))
    return "Its tests pass now." if _passed(output) else f"Its tests do not pass yet: {_complaint(output)}"


def _passed(output: str) -> bool:
    return bool(re.search(r"^OK\b", output, re.MULTILINE)) and "FAILED (" not in output


def _complaint(output: str) -> str:
    lines = [
        line for line in output.splitlines() if re.match(r"\w*(?:Error|Exception|Refused|Problem)\b", line)
    ]
    return clipped(lines[-1], 30) if lines else "no test gave an answer."


def _blamed(output: str) -> str:
    """The last of the app's own files in the traceback."""
    files = re.findall(r'File "(?:/app/|\./)?((?:tests/)?[a-z_]+\.py)", line', output)
    return files[-1] if files else ""

"""Recorded runs are replayed without a model and end in the same way; changed prompts are detected."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from tests.helpers.house import House
from tests.recorded.record import FOLDER, play
from workers.agents.roles import BUSINESS_ANALYST, CLIENT_RELATIONS, ROLES
from workers.llm.lineup import Lineup
from workers.llm.model import Message, ModelMisbehaved, Question
from workers.llm.tape import Head, NoTape, Prompt, TapeModel, briefed, difference, digest, read_tape

TAPES = {path.stem: read_tape(path) for path in sorted(FOLDER.glob("*.jsonl"))}


@pytest.mark.long
async def test_a_tape_comes_to_the_end_it_came_to(
    house: House, database_url: str, subtests: pytest.Subtests
) -> None:
    assert TAPES
    for name, (head, *lines) in TAPES.items():
        assert isinstance(head, Head)
        with subtests.test(name):
            model = TapeModel(name, lines)
            job = await play(house, Lineup(model), head.idea, head.said, head.wishes)
            assert (job.status, job.failure_code, job.verification) == (
                head.status,
                head.failure_code,
                head.verification,
            ), job.error_message
            assert model.left == 0
            if name == "malformed-json":
                again = await _tape_of(database_url, job.id)
                assert [orjson.loads(line)["line"] for line in again] == ["tape", *(x.line for x in lines)]


async def _tape_of(database_url: str, job_id: UUID) -> list[str]:
    """The tape that `boardroom tape` prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.taping", str(job_id)),
        env={**os.environ, "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().splitlines()


def test_the_prompts_on_the_tapes_are_those_of_today() -> None:
    """After an intended change of a prompt run `make tapes` and commit the result."""
    today: dict[tuple[str, str], str] = {
        (role.agent, role.purpose): role.instructions("none") for role in ROLES
    }
    for name, lines in TAPES.items():
        for said, brief in briefed(lines):
            now = today[said.agent, said.purpose]
            if brief.prompt.digest != digest(now):
                pytest.fail(f"{name}\n{difference(brief, now)}\n`make tapes`")


def _question(instructions: str) -> Question:
    return Question(CLIENT_RELATIONS.agent, CLIENT_RELATIONS.purpose, instructions, (Message("user", "Hi"),))


async def test_a_changed_prompt_is_reported_as_a_diff() -> None:
    model = TapeModel("tape:x", TAPES["malformed-json"])
    await model.ask(_question(CLIENT_RELATIONS.instructions("none").replace("Client Relations", "Clown", 1)))
    told = model.changed["intake"].splitlines()
    assert told[:2] == ["--- on the tape", "+++ now"]
    assert [line[:12] for line in told if line.startswith(("-Y", "+Y"))] == ["-You are Cli", "+You are Clo"]


async def test_a_tape_does_not_answer_what_it_was_not_asked() -> None:
    model = TapeModel("tape:x", TAPES["malformed-json"])
    other = Question(BUSINESS_ANALYST.agent, BUSINESS_ANALYST.purpose, "", (Message("user", "{}"),))
    with pytest.raises(ModelMisbehaved, match="goes on with Client Relations"):
        await model.ask(other)
    with pytest.raises(ModelMisbehaved, match="at its end"):
        await TapeModel("tape:x", []).ask(other)


@pytest.mark.parametrize("content", [None, b"", b"{}\n", b'{"line": "did", "result": "x"}\n', b"\xff"])
def test_invalid_tapes_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / f"{uuid4()}.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NoTape):
        read_tape(path)


def test_a_tape_tells_what_an_agent_was_given_before_it_answers() -> None:
    with pytest.raises(NoTape, match="before it has a prompt"):
        TapeModel("tape:x", [line for line in TAPES["malformed-json"] if not isinstance(line, Prompt)])

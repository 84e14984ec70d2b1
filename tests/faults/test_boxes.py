"""Containers and engines that die: the cause is shown, no work is lost, and nothing is left behind."""

import asyncio
import dataclasses
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.actions import jobs
from app.actions.removals import remove_boxes
from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import DEFAULT_IMAGE, MIB, ContainerLimits
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.worlds import World
from app.store import rows
from tests.helpers.boxes import ENGINE, docker_runtime, unavailable
from tests.helpers.company import DONE, builder, call, company
from tests.helpers.house import House
from tests.helpers.waiting import until
from workers.agents.facts import BuildingFacts
from workers.llm.model import Answer, Question
from workers.llm.scripted import Line, ScriptedModel

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
BUILT_S = 240
"""Seconds. On a busy machine deaths and new boxes are slow."""
TIGHT = ContainerLimits(idle_s=60, memory_bytes=200 * MIB, processes=64, disk_bytes=30 * MIB)
BOMB = "timeout -s KILL 2 sh -c 'b() { b | b & b; }; b; sleep 30'"
FILL = (
    "mkdir out; echo '*' > out/.gitignore; "
    "i=0; while :; do i=$((i+1)); head -c 8000000 /dev/zero > out/f$i; sleep 0.3; done"
)
"""Fills the disk with files that git ignores: in a commit they would fill the trials of later checks, too."""
FULL = "head -c 300M /dev/zero > /tmp/full"
"""Fills the memory with files, which the kernel cannot free, so that it has to kill a process."""
DEADLY = f"echo 0 > /proc/self/oom_score_adj; {FULL}"
"""The same from a command that is not killed first, so that the kernel kills the largest process: the
guest."""


def shown(question: Question) -> tuple[BuildingFacts, int]:
    """What the Builder is told, and the number of its turns in this attempt."""
    turns = sum(message.role == "assistant" for message in question.messages)
    return BuildingFacts.model_validate_json(question.messages[0].text), turns


def attempts(*lines: list[str]) -> Callable[[Question], Line]:
    """A builder whose first attempts at the first page only run these commands."""

    def build(question: Question) -> Line:
        facts, turns = shown(question)
        if facts.finished or facts.attempt > len(lines):
            return builder(question)
        calls = [call("run_command", command=line, timeout_s=120) for line in lines[facts.attempt - 1]]
        return [*calls, call("finish", summary="Done, trust me.")][turns]

    return build


class StruckModel(ScriptedModel):
    """Calls `strike` once, before the Builder's second turn at the second page."""

    def __init__(self, strike: Callable[[], Awaitable[None]]) -> None:
        super().__init__(company(intake=lambda _: DONE))
        self.strike: Callable[[], Awaitable[None]] | None = strike

    async def ask(self, question: Question, *rest: Any) -> Answer:
        if self.strike is not None and question.purpose == "building":
            facts, turns = shown(question)
            if facts.finished and turns == 1:
                strike, self.strike = self.strike, None
                await strike()
        return await super().ask(question, *rest)


@asynccontextmanager
async def contained(house: House, host: str = "") -> AsyncIterator[DockerRuntime]:
    """Let the house build in containers of this engine. All of them are removed afterwards."""
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", host=host, limits=TIGHT)
    house.resources = dataclasses.replace(house.resources, runtime=runtime)
    try:
        yield runtime
    finally:
        for job_id in await runtime.boxes():
            await runtime.destroy(job_id)
        await runtime.close()


@pytest.fixture
async def containers(house: House, docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    async with contained(house) as runtime:
        yield runtime


async def _told(house: House, job_id: UUID) -> str:
    """All messages about tickets."""
    return " ".join(e["message"] for e in await house.events(job_id) if e["kind"] == "ticketUpdate")


async def _left(host: str, job_id: UUID) -> list[str]:
    engine = Engine(host)
    labels = {"boardroom.job": str(job_id)}
    left = [*await engine.containers(labels), *await engine.volumes(labels)]
    await engine.close()
    return left


async def test_what_a_job_does_to_its_box_fails_the_attempt_and_not_the_next(
    house: House, containers: DockerRuntime
) -> None:
    spoilt = attempts([DEADLY], ["kill -9 -1", BOMB, FILL])
    model = ScriptedModel(company(intake=lambda _: DONE, building=spoilt))
    async with house.worker(model):
        job_id = await house.create()
        job = await house.until_finished(job_id, BUILT_S)
    assert (job.status, job.verification, job.error_message) == ("build_done", "verified", "")
    tried = [q for q in model.asked if q.purpose == "building" and shown(q)[1] == 3]
    results = [message.text for message in tried[0].messages if message.role == "tool"]
    assert "disk limit" in results[-1]
    said = await _told(house, job_id)
    assert "Attempt 1 did not pass: Twice the container did not survive this attempt" in said
    assert "memory" in said.partition("Attempt 2")[0], (
        "the cause is named, whichever of its processes was killed"
    )
    assert "Attempt 2 did not pass" in said


async def test_a_box_that_dies_of_memory_is_named_and_the_next_attempt_has_a_sound_one(
    house: House, containers: DockerRuntime
) -> None:
    script = company(intake=lambda _: DONE, building=attempts([DEADLY]))
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()

        async def problem() -> str:
            return (await containers.status(job_id, World.BENCH)).problem

        assert await until(problem) == "The container ran out of memory."
        job = await house.until_finished(job_id, BUILT_S)
        assert (job.status, job.verification) == ("build_done", "verified")
        assert "its container ran out of memory" in await _told(house, job_id)
        await jobs.delete_job(house.resources, house.user_id, job_id)
        await until(lambda: _removed(house))
    assert await _left(ENGINE, job_id) == []


async def _removed(house: House) -> bool:
    await remove_boxes(house.resources)
    async with house.resources.look() as session:
        return not (await session.execute(text("select job_id from removals"))).all()


async def test_a_box_that_is_lost_with_its_files_costs_one_attempt(
    house: House, containers: DockerRuntime
) -> None:
    async def lose() -> None:
        [job_id] = await containers.boxes()
        await containers.destroy(job_id)

    async with house.worker(StruckModel(lose)):
        job_id = await house.create()
        job = await house.until_finished(job_id, BUILT_S)
    assert (job.status, job.verification) == ("build_done", "verified")
    async with house.resources.look() as session:
        attempts = [ticket.attempts for ticket in await rows.tickets(session, job_id)]
    assert attempts == [0, 1, 2]


@pytest.fixture
async def own_engine(docker_boxes: None) -> AsyncIterator[Path]:
    """The folder of an engine that the test may kill. The engine has the image."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        unavailable("an engine of one's own needs root and dockerd")
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # an engine's sockets end at 107 bytes
    await _run(f".ci/engine start '{folder}'")
    await _run(f"docker -H {ENGINE} save {DEFAULT_IMAGE} | docker -H unix://{folder}/docker.sock load")
    yield folder
    await _run(f".ci/engine stop '{folder}'")


async def _run(line: str) -> None:
    process = await asyncio.create_subprocess_shell(
        line, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, complaints.decode()


async def test_the_engine_is_killed_in_mid_build_and_comes_back(house: House, own_engine: Path) -> None:
    host = f"unix://{own_engine}/docker.sock"

    killed = []

    async def kill() -> None:
        killed.append(int(await asyncio.to_thread((own_engine / "pid").read_text)))
        os.kill(killed[0], signal.SIGKILL)
        await _run(f".ci/engine start '{own_engine}'")

    async with contained(house, host):
        async with house.worker(StruckModel(kill)):
            job_id = await house.create()
            job = await house.until_finished(job_id, BUILT_S)
            assert (job.status, job.verification, job.error_message) == ("build_done", "verified", "")
            assert killed
            async with house.resources.look() as session:
                assert [ticket.attempts for ticket in await rows.tickets(session, job_id)] == [0, 1, 1]
            await jobs.delete_job(house.resources, house.user_id, job_id)
            await until(lambda: _removed(house))
        assert await _left(host, job_id) == []

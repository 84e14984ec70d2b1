"""Checks that run side by side: each has a world of its own, and none fails for another."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from app.domain.conversation import Agent
from app.domain.ticket import CHECK, AnyCheck
from app.runtime.local.boxes import BoxLimits
from app.runtime.local.runtime import LocalRuntime
from app.runtime.workspace import CheckResult, Commit, Workspace
from app.runtime.worlds import CHECKING, World
from app.store import rows
from tests.helpers.company import DONE, company, story
from tests.helpers.house import House
from tests.helpers.waiting import until
from workers.agents.outputs import Backlog, TicketDraft
from workers.context import Context
from workers.llm.scripted import ScriptedModel
from workers.pipeline.proof import observing, trials
from workers.pipeline.proof.trials import ToRun, check_all

MIB = 1024 * 1024

GREEDY = {
    "the same port": """
import socket, time
with socket.create_server(("127.0.0.1", 9123)):
    time.sleep(0.7)
""",
    "the same file outside of the tree": """
import os, time
for path in ("/tmp/mine", os.path.expanduser("~/mine"), "/dev/shm/mine"):
    open(path, "x").close()
time.sleep(0.7)
""",
    "all memory": """
import time
held = bytearray(180 * 1024 * 1024)
held[::4096] = b"x" * len(held[::4096])
time.sleep(0.7)
""",
    "all processes": """
import subprocess
made = [subprocess.Popen(["sleep", "0.7"]) for _ in range(45)]
assert [each.wait() for each in made] == [0] * 45
""",
}


class Bench:
    """A context on a runtime with tight boxes, and a bench with one commit."""

    def __init__(self, runtime: LocalRuntime) -> None:
        resources = cast(Any, SimpleNamespace(runtime=runtime))
        self.context = Context(resources, cast(Any, None), uuid4(), uuid4(), fence=1)
        self.commit = Commit("", "")
        self.workspace: Workspace = cast(Any, None)

    async def run(self, *checks: AnyCheck) -> list[CheckResult]:
        """Their results, in the order of the checks."""
        found: dict[int, CheckResult] = {}

        async def take(place: int, result: CheckResult) -> None:
            found[place] = result

        await check_all(self.context, self.workspace, [ToRun(check, self.commit) for check in checks], take)
        return [found[place] for place in range(len(checks))]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    limits = BoxLimits(idle_s=60, memory_bytes=240 * MIB, processes=60, disk_bytes=60 * MIB)
    runtime = LocalRuntime(tmp_path / "boxes", limits=limits)
    made = Bench(runtime)
    job = made.context.job_id
    made.workspace = await runtime.attach(job, world=World.BENCH, fence=1, create=True)
    for number, (_, program) in enumerate(GREEDY.items()):
        await made.workspace.save(f"/app/greedy{number}.py", program.encode())
    made.commit = await made.workspace.commit("Greedy programs", Agent.BUILDER)
    yield made
    await made.context.leave_trials()
    await made.workspace.close()
    await runtime.destroy(job)
    await runtime.close()


def command(run: str, **more: Any) -> AnyCheck:
    return CHECK.validate_python({"id": "c", "criterion": 0, "kind": "command", "run": run, **more})


@pytest.mark.parametrize("number", range(len(GREEDY)), ids=list(GREEDY))
async def test_what_one_check_takes_no_other_lacks(bench: Bench, number: int) -> None:
    began = monotonic()
    results = await bench.run(*[command(f"python3 greedy{number}.py")] * 4)
    assert [(each.passed, each.output_tail) for each in results] == [(True, "")] * 4
    assert set(bench.context.trials) == set(CHECKING)
    assert monotonic() - began < 4 * 0.7 + 2.5


async def test_one_that_never_ends_holds_nobody_up(bench: Bench) -> None:
    results = await bench.run(
        command("while :; do :; done", timeout_s=3), *[command(f"test {n} -ge 0") for n in range(12)]
    )
    endless, *others = results
    assert (endless.passed, endless.exit_code) == (False, None)
    assert "Ended after 3 s." in endless.output_tail
    assert all(each.passed for each in others)


async def test_a_full_disk_is_the_end_of_one_check_only(bench: Bench) -> None:
    fills = command("dd if=/dev/zero of=$HOME/much bs=1M count=2000")
    results = await bench.run(command("true"), fills, command("touch $HOME/a && test -f greedy0.py"), fills)
    assert [each.passed for each in results] == [True, False, True, False]
    assert "No space left" in results[1].output_tail
    assert [each.passed for each in await bench.run(command("touch $HOME/a"), command("true"))] == [
        True,
        True,
    ]


async def test_a_check_that_wants_time_beside_another_is_run_again_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs more processor time than it has beside another one."""
    running, ended = 0, list[bool]()
    check_apart = trials.check_apart

    async def slower_together(*args: Any) -> CheckResult:
        nonlocal running
        running += 1
        beside = running > 1
        result = await check_apart(*args)
        beside = beside or running > 1
        running -= 1
        ended.append(beside)
        return CheckResult(False, None, "Ended after 3 s.", 3000) if beside else result

    monkeypatch.setattr(trials, "check_apart", slower_together)
    results = await bench.run(command("sleep 0.3"), command("sleep 0.4"))
    assert [each.passed for each in results] == [True, True]
    assert ended == [True, True, False, False]


async def test_the_others_are_given_up_when_a_box_dies(bench: Bench) -> None:
    async def dies() -> None:
        raise RuntimeError("struck by lightning")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    ended = list[int]()
    with pytest.raises(RuntimeError, match="lightning"):
        await trials.together([lasts(), dies(), lasts()])
    assert ended == [1, 1]


async def test_a_commit_is_laid_out_anew_for_each_check(bench: Bench) -> None:
    """Whatever one check does to its files, the next one has those of the commit, without git."""
    spoils = command("test ! -e /app/.git && for f in *.py; do echo 'raise SystemExit(3)' > $f; done")
    whole = command("python3 greedy0.py && test ! -e /app/.git")
    for _ in range(2):
        results = await bench.run(spoils, whole, spoils, whole)
        assert [each.passed for each in results] == [True] * 4


async def test_a_worker_killed_between_two_results_repeats_none_that_was_stored(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result is stored at once here. One of three checks never ends with the first worker."""
    monkeypatch.setattr(observing, "STORE_S", -1.0)
    front = story("T2", "/", "hello", "R1", []).model_dump(mode="json")
    words = ["PAGES", "hello", "PAGES.get"]
    front["checks"] = [
        {"id": f"c{place}", "criterion": place, "kind": "file", "path": "server.py", "contains": word}
        for place, word in enumerate(words)
    ]
    front |= {
        "parent": "",
        "requirements": ["R1", "R2"],
        "acceptance_criteria": [f"It says {word}." for word in words],
    }
    plan = Backlog(tickets=[TicketDraft.model_validate(front)])
    check_apart, ran, fences = trials.check_apart, list[tuple[str, str]](), list[int]()

    async def counted(context: Context, bench: Any, commit: Commit, check: Any, hear: Any) -> CheckResult:
        ran.append((check.id, commit.tree))
        fences.append(context.fence)
        if check.id == "c1" and context.fence == fences[0]:
            await asyncio.Event().wait()
        return await check_apart(context, bench, commit, check, hear)

    monkeypatch.setattr(trials, "check_apart", counted)
    script = company(intake=lambda _: DONE, ticketing=lambda _: plan)
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()

        async def two_are_stored() -> bool:
            async with house.resources.look() as session:
                return len(await rows.evidence(session, job_id)) == 2

        await until(two_are_stored)
    async with house.worker(ScriptedModel(script), "w2"):
        job = await house.until_finished(job_id)
    assert (job.status, job.verification) == ("build_done", "verified")
    base = ran[0][1]
    assert sorted(place for place, tree in ran if tree == base) == ["c0", "c1", "c1", "c2"]
    assert max(Counter(each for each in ran if each[1] != base).values()) == 1


COUNTS = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            open("asked", "a").write("x")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"asked {os.path.exists('asked') and len(open('asked').read())} times".encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = b'{"profile": "python-stdlib", "start": "python3 server.py", "health": "/health"}'


async def test_pages_that_write_are_each_asked_of_a_fresh_app(bench: Bench) -> None:
    await bench.workspace.save("/app/server.py", COUNTS.encode())
    await bench.workspace.save("/app/boardroom.json", MANIFEST)
    bench.commit = await bench.workspace.commit("An app that counts", Agent.BUILDER)
    get = {"id": "c", "criterion": 0, "kind": "http", "path": "/a", "expect_text": "asked 1 times"}
    checks = [CHECK.validate_python(get)] * 5
    results = await bench.run(*checks[:2], command("true"), *checks[2:])
    assert [each.passed for each in results] == [True] * 6, results

"""`boardroom demo` and `boardroom open`. A whole demo is run by `make demo` in CI."""

import asyncio
import re
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from rich.console import Console

from app.demo.answers import GO, Interview
from app.demo.screen import Screen
from app.embedded.datadir import DataDir
from app.runtime.local.runtime import LocalRuntime
from tests.cli.commands import APP, read_until
from tests.cli.conftest import Popen
from tests.helpers.processes import processes_of
from tests.helpers.waiting import wait_for

Start = Callable[..., Popen]


OFFICE = {"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": ""}
"""Proxies that nobody answers at."""


def test_a_job_that_fails_is_exit_code_1(start: Start, home: Path) -> None:
    demo = start("demo", "--idea", 'a list of "plants", it\'s $HOME', REHEARSAL_PACE="1", **OFFICE)
    read_until(demo, re.escape(f"starting PostgreSQL, Valkey, an API and a worker in {home} …"))
    read_until(demo, re.escape('💡 a list of "plants", it\'s $HOME'))
    job, email, password = read_until(demo, r"job (\S+) of (\S+), password (\S+)").groups()
    with httpx.Client(base_url=DataDir(home).last().url, timeout=30) as client:
        session = client.post("/api/auth/login/", json={"email": email, "password": password}).json()
        headers = {"Authorization": f"Bearer {session['access']}"}
        assert client.post(f"/api/jobs/{job}/cancel/", headers=headers).status_code == 202
    read_until(demo, r"The job failed \(cancelled\)")
    assert demo.wait(60) == 1
    assert processes_of(home) == []


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_a_demo_that_is_stopped_leaves_nothing(start: Start, home: Path, how: signal.Signals) -> None:
    demo = start("demo", REHEARSAL_PACE="1")
    read_until(demo, "Client Relations · rehearsal: ")
    demo.send_signal(how)
    assert demo.wait(60) == (1 if how is signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: not processes_of(home), 40)


@pytest.mark.may_block
async def test_open_leads_to_the_app_in_its_box(start: Start, home: Path) -> None:
    job = uuid4()
    runtime = LocalRuntime(DataDir(home).path / "workspaces", idle_s=60)
    workspace = await runtime.attach(job, create=True)
    await workspace.save("/app/server.py", APP.encode())
    await workspace.save("/app/boardroom.json", b'{"start": "python3 server.py"}')
    await workspace.close()
    await runtime.close()

    opened = start("open", str(job))
    address = (await asyncio.to_thread(read_until, opened, r"The app: (http://127\.0\.0\.1:\d+)"))[1]
    async with httpx.AsyncClient(timeout=30) as client:
        pages = await asyncio.gather(*(client.get(f"{address}/boardroom.json") for _ in range(5)))
        assert {page.text for page in pages} == {'{"start": "python3 server.py"}'}
        opened.send_signal(signal.SIGINT)
        rest = (await asyncio.to_thread(opened.communicate, timeout=60))[0]
    assert (opened.returncode, rest) == (0, "")
    assert processes_of(home) == []


def test_the_client_answers_each_thing_once() -> None:
    interview = Interview()
    questions = (
        "How do you keep your books today, and what is the trouble that this should put an end to?",
        "Who will use it: only you, or others as well?",
        "For a book I would note title and author. What would you add or leave out?",
        "A month from now, how will you see that it was worth it?",
    )
    answers = [interview.answer(question) for question in questions]
    assert len(set(answers)) == 4
    assert GO not in answers
    assert "rating from 1 to 5" in answers[2]
    assert interview.answer(questions[1]) == GO
    assert interview.answer("Red or blue?") == GO


@pytest.mark.parametrize("terminal", [True, False])
def test_no_escape_sequence_of_a_model_or_a_box_reaches_the_terminal(terminal: bool) -> None:
    shown = StringIO()
    screen = Screen(Console(file=shown, force_terminal=terminal, color_system=None, width=80))
    evil = "\x1b]0;owned\x07\x9b31m[bold]"
    screen.bubble(evil, evil, ours=False)
    screen.turn("CEO", evil)
    screen.again("ticket", 2, evil)
    screen.files([{"name": evil, "type": "file", "size": 1, "children": []}])
    assert not re.search(r"\x1b\]|\x07|\x9b", shown.getvalue())
    assert shown.getvalue().count("[bold]") >= 4

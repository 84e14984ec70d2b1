"""What `boardroom up` says while it starts, and how little its supervisor loads."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app import preparation
from tests.helpers.processes import ROOT
from tests.helpers.waiting import wait_for

Checks = dict[str, dict[str, Any]]


@pytest.fixture
def checks() -> Checks:
    return {"box": {"ok": True, "detail": "local"}, "worker": {"ok": False, "detail": "No worker is alive."}}


@pytest.fixture
def requests() -> list[str]:
    """The paths that the server was asked for."""
    return []


@pytest.fixture
def url(checks: Checks, requests: list[str]) -> Iterator[str]:
    """The address of a server that answers /readyz with `checks`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            ready = all(check["ok"] for check in checks.values())
            self.send_response(200 if ready and self.path == "/readyz" else 503)
            self.end_headers()
            self.wfile.write(json.dumps({"checks": checks}).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing: requests are not logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_it_is_not_ready_without_a_worker_and_says_so_once(
    url: str,
    checks: Checks,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(preparation, "TICK_S", 0.01)
    monkeypatch.setattr(preparation, "SLOW_S", 0.05)
    watching = threading.Thread(target=preparation.say_when_ready, args=(url, time.monotonic()))
    watching.start()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + preparation.SLOW_S and requests)
    asked = len(requests)
    wait_for(lambda: len(requests) > asked + 5)
    assert capsys.readouterr().out == "Not ready yet: worker: No worker is alive.\n"
    checks["worker"]["ok"] = True
    watching.join()
    (ready,) = capsys.readouterr().out.splitlines()
    assert ready.startswith("Ready after")


def test_an_api_that_does_not_answer_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preparation, "TICK_S", 0.01)
    answers = iter([None, "worker: none", ""])
    monkeypatch.setattr(preparation, "what_is_missing", lambda url: next(answers))
    preparation.say_when_ready("http://127.0.0.1:1", time.monotonic())
    assert capsys.readouterr().out.startswith("Ready after")


def test_the_supervisor_loads_neither_the_settings_library_nor_the_databases() -> None:
    """It lives as long as the service, so each of these would be paid for all the time."""
    program = "import sys, app.embedded.supervisor as s; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    heavy = {"asyncio", "http.client", "prometheus_client", "pydantic", "rich", "sqlalchemy", "ssl", "typer"}
    assert not heavy & set(loaded)

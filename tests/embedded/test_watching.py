"""What `boardroom up` prints about its children while it watches them."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.embedded import supervisor
from app.embedded.children import Child, Children, KeepsDying
from tests.helpers.processes import ROOT

Checks = dict[str, dict[str, Any]]


@pytest.fixture
def checks() -> Checks:
    return {"box": {"ok": True, "detail": "local"}, "worker": {"ok": False, "detail": "No worker is alive."}}


@pytest.fixture
def url(checks: Checks) -> Iterator[str]:
    """The address of a server that answers /readyz with `checks`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
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


class Unneeded:
    def revive(self) -> list[str]:
        return []


def watched(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is printed until a child that dies at once has died too often."""
    for name in ("TICK_S", "SLOW_S"):
        monkeypatch.setattr(supervisor, name, 0.02)
    monkeypatch.setattr("app.embedded.children.FIRST_PAUSE_S", 0.1)
    child = Child("worker", "tests.embedded.stand_in", (str(tmp_path), "die"))
    children = Children([child], {**os.environ, "PYTHONPATH": str(ROOT)}, lambda _: None)
    said: list[str] = []
    stack: Any = Unneeded()
    try:
        with pytest.raises(KeepsDying):
            supervisor._watch(children, stack, url, time.monotonic(), said.append)
    finally:
        children.close()
    return said


def test_it_is_not_ready_without_a_worker_and_says_so_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = watched(url, tmp_path, monkeypatch)
    assert not [line for line in said if line.startswith("Ready")]
    assert said.count("Not ready yet: worker: No worker is alive.") == 1


def test_it_is_ready_once_nothing_is_missing(
    url: str, checks: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks["worker"]["ok"] = True
    said = watched(url, tmp_path, monkeypatch)
    assert len([line for line in said if line.startswith("Ready after")]) == 1

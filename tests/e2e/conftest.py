"""Fixtures for the whole service, started by `boardroom up` with two API processes and two workers."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT

SAID = re.compile(r"Boardroom: (http://\S+)")


@dataclass(frozen=True)
class Running:
    """The addresses of the service for HTTP and for WebSocket."""

    url: str
    data_dir: Path

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://")


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data_dir = tmp_path_factory.mktemp("up") / "data"
    env = {
        **os.environ,
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "API_PROCESSES": "2",
        "WORKERS": "2",
        "REHEARSAL_PACE": "0",
        "LEASE_S": "2",
        "SWEEP_S": "0.2",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "up"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Running(_url_once_ready(process), data_dir)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout
        process.stdout.close()


def _url_once_ready(process: subprocess.Popen[str]) -> str:
    """Read the output of `boardroom up` until it says that the service is ready."""
    assert process.stdout
    url, said = "", ""
    for line in process.stdout:
        said += line
        if found := SAID.search(line):
            url = found[1].rstrip("/")
        if line.strip().startswith("Ready"):
            return url
    raise AssertionError(f"`boardroom up` ended: {said}")

"""The web process as the supervisor starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers.parts import Parts
from tests.helpers.service import SECRET
from tests.helpers.waiting import until


@contextmanager
def process(
    *arguments: str, env: Mapping[str, str], descriptors: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    running = subprocess.Popen(
        [sys.executable, "-m", "app.main", *arguments],
        env={**clean, "PYTHONPATH": os.getcwd(), **env},
        cwd=env.get("DATA_DIR"),
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_serves_on_an_inherited_socket_and_stops_cleanly(
    parts: Parts, database_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        descriptor = listener.fileno()
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": parts.redis_url,
            "SECRET_KEY": SECRET,
            "DATA_DIR": str(tmp_path),
            "ALLOW_WS_TOKEN_QUERY": "false",
        }
        with process("--fd", str(descriptor), env=env, descriptors=(descriptor,)) as running:
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                assert (await client.get("/healthz")).status_code == 200
                body = {"email": "ada@example.org", "password": "correct horse battery"}
                session = (await client.post("/api/auth/register/", json=body)).json()
                assert (await client.get(f"/api/auth/me/?token={session['access']}")).status_code == 401
            running.send_signal(how)
            await until(lambda: running.poll() is not None)
            _, said = running.communicate()
            assert running.returncode == 0, said
            assert "/api/auth/register/" in said
            assert "know only ?token= cannot open a socket: ALLOW_WS_TOKEN_QUERY" in said
            for secret in (session["access"], session["refresh"], body["password"], SECRET):
                assert secret not in said


def test_refuses_to_start_without_its_parts(tmp_path: Path) -> None:
    with process(env={"DATA_DIR": str(tmp_path)}) as running:
        _, said = running.communicate(timeout=30)
    assert running.returncode == 2
    assert said.strip() == "DATABASE_URL and REDIS_URL are not set. `boardroom up` starts all it needs."


@pytest.mark.parametrize("arguments", [(), ("--openapi",)])
def test_settings_that_forbid_a_start_are_named_without_their_values(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    env = {"ENVIRONMENT": "production", "SECRET_KEY": "weak-secret", "OPENAI_API_KEY": "sk-secret"}
    with process(*arguments, env={"DATA_DIR": str(tmp_path), **env}) as running:
        _, said = running.communicate(timeout=30)
    assert running.returncode == 2
    assert said.startswith("SECRET_KEY must hold at least")
    assert "weak-secret" not in said
    assert "sk-secret" not in said


def test_prints_its_document(tmp_path: Path) -> None:
    with process("--openapi", env={"DATA_DIR": str(tmp_path)}) as running:
        document, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (0, "")
    assert json.loads(document)["info"]["title"] == "Boardroom"

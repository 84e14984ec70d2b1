"""Local boxes of an ordinary user, tested if these tests run as root."""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

import app
from tests.helpers.somebody_else import NOBODY, as_root

SCENE = """
import asyncio, os, sys, uuid
from pathlib import Path
from app.domain.ticket import CommandCheck
from app.domain.errors import Forbidden
from app.runtime.local.runtime import LocalRuntime

async def main():
    assert os.geteuid() == 65534
    runtime = LocalRuntime(Path(sys.argv[1]), idle_s=30, python=Path(sys.argv[2]))
    diagnosis = await runtime.examine()
    if not diagnosis.ok:
        print("NOBOX", diagnosis.detail, diagnosis.remedy)
        return
    job = uuid.uuid4()
    worker = await runtime.attach(job, fence=1, create=True)
    await worker.save("a/b.txt", b"hello")
    powers = "id -u; grep CapBnd /proc/self/status; cat a/b.txt; unshare -Ur true"
    result = await worker.run(powers, timeout_s=10)
    assert result.output.startswith("1000\\nCapBnd:\\t0000000000000000\\nhello"), result
    assert result.exit_code != 0, "a user namespace inside the box"
    prying = await worker.run("cat /proc/1/environ /proc/1/maps || ls /proc/1/fd", timeout_s=10)
    assert prying.exit_code != 0, "the guest can be looked into"
    await worker.run("b() { b | b & sleep 0.01; }; b; sleep 9", timeout_s=2)
    commit = await worker.commit("One", "Builder")
    check = CommandCheck(id="c", criterion=0, run="grep hello a/b.txt")
    assert (await worker.check(commit.sha, check)).passed
    await worker.run("ln -s /etc/passwd leak", timeout_s=10)
    try:
        await worker.read("leak")
    except Forbidden:
        pass
    await worker.close()
    await runtime.stop(job)
    again = await runtime.attach(job)
    assert (await again.read("a/b.txt")).content == b"hello"
    await again.close()
    await runtime.destroy(job)
    assert not list(Path(sys.argv[1]).iterdir())
    await runtime.close()
    print("ALL WELL")

asyncio.run(main())
"""


def as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
    packages = f"{Path(app.__path__[0]).parent}:{sysconfig.get_path('purelib')}"
    return subprocess.run(
        argv,
        env={"PYTHONPATH": packages, "PATH": os.environ["PATH"]},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd="/",
    )


def interpreter() -> str | None:
    """A Python that the user `nobody` may run and that finds our libraries; None if there is none."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            if as_nobody(python, "-c", "import app.runtime.local.runtime").returncode == 0:
                return python
    return None


@as_root
def test_an_ordinary_users_box() -> None:
    python = interpreter()
    if python is None:
        pytest.skip("no interpreter that nobody may run")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        done = as_nobody(python, "-c", SCENE, folder, os.path.realpath(python))
    if done.stdout.startswith("NOBOX"):
        pytest.skip(done.stdout)
    assert done.stdout.strip() == "ALL WELL", done.stderr

"""Runs commands, most of them in forks of a process that has loaded their code: faster than starting each."""

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIMIT_S = 100

APP = """
import os
from http.server import HTTPServer, SimpleHTTPRequestHandler
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""
"""An app that serves its folder."""

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["app.cli"])


def run(words: tuple[str, ...], env: Mapping[str, str], stdin: str) -> "subprocess.CompletedProcess[str]":
    """Run `boardroom WORDS` to its end."""
    with tempfile.TemporaryDirectory(prefix="boardroom-said-") as folder:
        (Path(folder) / "0").write_text(stdin)
        process = _forks.Process(target=_become, args=(words, dict(env), folder))
        process.start()
        process.join(LIMIT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        said, complained = ((Path(folder) / name).read_text() for name in "12")
        return subprocess.CompletedProcess(words, process.exitcode or 0, said, complained)


def _become(words: tuple[str, ...], env: dict[str, str], folder: str) -> None:
    import app.cli

    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["boardroom", *words]
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(f"{folder}/{number}", mode, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it ends with the process
    app.cli.main()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no {pattern} in:\n{''.join(said)}")

"""The folder in which `tests.rehearsal.company` works, with real processes and nothing of the service."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.ticket import Check, CommandCheck, FileCheck, HttpCheck
from tests.helpers.ports import free_port
from workers.agents import tools


@dataclass
class Ground:
    """`app` is the workspace; `python` is what its commands call python3."""

    folder: Path
    python: str = field(default=sys.executable, kw_only=True)

    @property
    def app(self) -> Path:
        return self.folder / "app"

    def use(self, tool: tools.Tool) -> str:
        if isinstance(tool, tools.RunCommand):
            done = self.shell(tool.command, self.app, tool.timeout_s)
            return f"exit code {done.returncode}\n{done.stdout}"
        if isinstance(tool, tools.ListFiles):
            return "\n".join(sorted(str(path.relative_to(self.app)) for path in self.app.rglob("*")))
        assert isinstance(tool, tools.ReadFile | tools.WriteFile | tools.EditFile)
        path = self.app / tool.path
        if isinstance(tool, tools.WriteFile):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(tool.content, "utf-8")
            return "written"
        if not path.is_file():
            return "error: there is no such file"
        text = path.read_text("utf-8")
        if isinstance(tool, tools.ReadFile):
            return text
        (edit,) = tool.all
        if text.count(edit.old) != 1:
            return "error: the old text must stand exactly once in the file"
        path.write_text(text.replace(edit.old, edit.new), "utf-8")
        return "edited"

    def run(self, check: Check) -> tuple[bool, str]:
        """Run a check on a copy of the present app without its data: whether it passes, and its output."""
        checkout = self.folder / "checkout"
        shutil.rmtree(checkout, ignore_errors=True)
        shutil.copytree(self.app, checkout, ignore=shutil.ignore_patterns("data", "__pycache__"))
        if isinstance(check, CommandCheck):
            done = self.shell(check.run, checkout, check.timeout_s)
            return done.returncode == check.expect_exit and (
                check.expect_output or ""
            ) in done.stdout, done.stdout[-4000:]
        if isinstance(check, FileCheck):
            path = checkout / check.path
            return path.is_file() and (check.contains or "") in path.read_text(), ""
        assert isinstance(check, HttpCheck), "there is no browser here"
        return self._request(check, checkout)

    def _request(self, check: HttpCheck, checkout: Path) -> tuple[bool, str]:
        manifest = checkout / "boardroom.json"
        if not manifest.is_file():
            return False, "there is no manifest"
        port = free_port()
        start = json.loads(manifest.read_text())["start"]
        app = subprocess.Popen(
            ["sh", "-c", start], cwd=checkout, env=self.environment(checkout, port), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            status, text = request(port, check.method, check.path, check.body)
        finally:
            os.killpg(app.pid, signal.SIGKILL)
            app.wait()
        passed = status == check.expect_status and (check.expect_text or "") in text
        if check.expect_json is not None:
            passed = passed and json.loads(text) == check.expect_json
        return passed, f"{status} {text[-2000:]}"

    def shell(self, command: str, folder: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=self.environment(folder, free_port()),
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self, folder: Path, port: int) -> dict[str, str]:
        shims = self.folder / "bin"
        shims.mkdir(exist_ok=True)
        if not (shims / "python3").exists():
            (shims / "python3").symlink_to(self.python)
        return {
            "PATH": f"{shims}:/usr/bin:/bin",
            "HOME": str(folder),
            "PORT": str(port),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def request(port: int, method: str, path: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    question = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(question, timeout=5) as answer:
                return answer.status, answer.read().decode("utf-8-sig")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            if time.monotonic() > until:
                return 0, "nothing answers"
            time.sleep(0.02)

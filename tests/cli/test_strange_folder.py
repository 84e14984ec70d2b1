"""The command in a folder that is somebody's project, with packages of the same names as ours."""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cli.conftest import wait_until_ready

COMMAND = Path(sys.executable).with_name("boardroom")


def test_it_starts_in_a_project_that_has_an_app_of_its_own(
    home: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    for package in ("app", "workers"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('this is the app of a stranger')\n")
    described = subprocess.run(
        [COMMAND, "openapi"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (described.returncode, described.stdout[:1]) == (0, "{"), described.stderr
    up = subprocess.Popen(
        [COMMAND, "up"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until_ready(home, up)
    finally:
        up.send_signal(signal.SIGTERM)
        said, _ = up.communicate(timeout=60)
    assert up.returncode == 0, said
    assert "stranger" not in said

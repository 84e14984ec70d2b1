#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0. Tests with the same `xdist_group` have to run in one process under
# `--dist loadgroup`. With these two versions they are distributed one by one, and nothing says so.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0

cat >program.py <<'PROGRAM'
import pathlib
import subprocess
import sys

pathlib.Path("test_group.py").write_text('''
import os, pathlib, time
import pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(8))
def test_one(number):
    time.sleep(0.3)
    pathlib.Path(f"{os.environ['PYTEST_XDIST_WORKER']}.ran").touch()
''')
command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "test_group.py"]
done = subprocess.run(command, capture_output=True, text=True, check=True)
print("passed:", "8 passed" in done.stdout)
print("processes:", len(list(pathlib.Path().glob("*.ran"))))
PROGRAM

cat >seen <<'SEEN'
passed: True
processes: 2
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"

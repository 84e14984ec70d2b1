"""The program in the README, run unchanged against the whole service."""

import asyncio
import re
import sys

import pytest

from tests.e2e.conftest import Running
from tests.helpers.processes import ROOT


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_the_ten_lines_of_the_readme(service: Running) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert found
    program = found[1].replace("http://127.0.0.1:8000", service.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    assert b"build_done verified" in said

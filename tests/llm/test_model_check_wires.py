"""`boardroom model check` in each vendor's own wire, and against three versions of the real llama.cpp."""

import asyncio
import os
import sys

import pytest

from tests.helpers.able import NAMES, served
from tests.llm.tiny_server import NEWEST, OLDER, llama, weights
from workers.model_check import Line, check

WINDOWS = {
    "openai": "400,000 tokens by the list of prices; its server does not tell",
    "anthropic": "200,000 tokens, as its server tells",
    "google": "1,048,576 tokens, as its server tells",
    "ollama": "4,096 tokens, as its server tells",
    "mistral": "131,072 tokens, as its server tells",
    "groq": "131,072 tokens, as its server tells",
    "openrouter": "131,072 tokens, as its server tells",
}
"""DeepSeek's list does not tell, and Bedrock has no call for it: then the list of prices tells, or nobody."""


SMALL = {"MODEL": "openai:smollm2", "MODEL_MAX_TOKENS": "64", "COLUMNS": "200"}


@pytest.mark.may_block
@pytest.mark.parametrize("kind", NAMES)
async def test_each_vendors_wire(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(kind, monkeypatch) as settings:
        lines = {line.what: line for line in await check(settings)}
    assert lines["reachable"] == Line("reachable", True, "it answers")
    for what in ("streams", "typed answers", "tools", "several calls in a turn", "thoughts"):
        assert lines[what].works, lines[what]
    assert lines["typed answers"].detail.startswith("MODEL_SCHEMA=")
    assert lines["several calls in a turn"].detail == "2 at once"
    assert lines["context window"].detail == WINDOWS.get(kind, lines["context window"].detail)
    # Bedrock's model is at an address of ours, and so has no known price.
    assert lines["price"].works is (None if kind in ("ollama", "bedrock") else True)


@pytest.mark.long
@pytest.mark.skipif(weights() is None and not os.environ.get("CI"), reason="its parts are not installed")
@pytest.mark.parametrize("version", [*OLDER, NEWEST])
async def test_the_real_llama_cpp(version: str) -> None:
    """SmolLM2 is too weak to answer, and its window is small: what its server can do is said all the same."""
    async with llama(version) as url:
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "model", "check", "--yes"),
            env={**os.environ, **SMALL, "OPENAI_BASE_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, failed = await asked.communicate()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.decode().splitlines()]
    lines = {row[0]: row[1:] for row in rows if row}
    assert (asked.returncode, failed) == (1, b""), lines
    assert lines["reachable"] == ["yes", "it answers", ""]
    assert lines["streams"][0] == "yes"
    assert lines["context window"][:2] == ["NO", "4,096 tokens, as its server tells"]
    assert "--ctx-size 65536" in lines["context window"][2]
    assert lines["price"][0] == "–"
    assert "asked otherwise" not in lines, "nothing was refused"

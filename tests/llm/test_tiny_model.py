"""A real but very weak model, SmolLM2 on llama.cpp, over HTTP and through the whole pipeline.

It runs only if the packages of `tiny_server` are installed, as in CI.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.actions import runs
from app.domain.budget import Limits
from app.domain.job import FailureCode, Status
from tests.helpers.house import TERMS, House
from tests.llm.tiny_server import weights
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.lineup import Lineup, Patience
from workers.llm.model import Model
from workers.llm.prices import fixed
from workers.llm.provider import open_openai

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(weights() is None and not os.environ.get("CI"), reason="its parts are not installed"),
    pytest.mark.timeout(200),
]

TIMES = TimeLimits(connect_s=10, first_token_s=30, gap_s=30, call_s=30)
LONGEST, TOKENS, MOST = 128, 5_000, 5
"""The tokens of an answer, the job's budget, and how many requests that allows: a prompt alone has about 700
tokens. So the job ends after at most MOST times `call_s`, even on a slow machine."""


@pytest.fixture(scope="module")
async def tiny() -> AsyncIterator[Model]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.llm.tiny_server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    assert process.stdin
    async with asyncio.timeout(60):
        url = (await process.stdout.readline()).decode().strip()
    yield open_openai("smollm2", base_url=url, key="", endpoint=Endpoint(TIMES), price=fixed(0, 0))
    process.stdin.close()
    await process.wait()


async def test_a_company_of_tiny_models_ends(house: House, tiny: Model) -> None:
    """The job ends inside its budget with the true reason, and claims nothing that was not checked."""
    terms = replace(TERMS, limits=Limits(job_tokens=TOKENS))
    lineup = Lineup(tiny, patience=Patience(tries=1), longest=LONGEST)
    async with house.worker(lineup, terms=terms):
        job_id = await house.create("A reading list for a book club.")
        await runs.start_now(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id, within_s=MOST * TIMES.call_s + 20)
    assert (job.status, job.verification) == (Status.FAILED, None), "it cannot have built anything"
    assert job.committed_tokens <= TOKENS
    made = await house.attempts(job.id)
    assert len(made) <= MOST
    last = made[-1]
    true = FailureCode.MODEL_MISBEHAVED if last.outcome == "answered" else FailureCode.MODEL_UNAVAILABLE
    assert job.failure_code in (true, FailureCode.BUDGET), job.error_message

"""What is sent can be compiled by real llama.cpp servers, of spring, summer and today: every shape of an
answer and every tool.

Versions beside the newest lie in folders of $LLAMAS, as .ci/run puts them there.
"""

import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from tests.llm.tiny_server import NEWEST, OLDER, llama, weights
from workers.agents import tools
from workers.agents.outputs import Output
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.model import Answer, Message, ModelUnavailable, Question, Then
from workers.llm.prices import fixed
from workers.llm.provider import Provider, open_openai

SHAPES = sorted(Output.__subclasses__(), key=lambda shape: shape.__name__)
TRIES = 4
TIMES = TimeLimits(connect_s=10, first_token_s=60, gap_s=60, call_s=60)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(weights() is None and not os.environ.get("CI"), reason="its parts are not installed"),
]


@pytest.fixture(scope="module", params=[*OLDER, NEWEST])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a server of that version."""
    async with llama(request.param) as url:
        yield url


def model(url: str) -> Provider:
    endpoint = Endpoint(TIMES, longest=8)
    return open_openai("smollm2", base_url=url, key="", endpoint=endpoint, price=fixed(0, 0))


def question(**more: Any) -> Question:
    return Question("CEO", "discussion", "Answer.", (Message("user", "Hello"),), max_tokens=8, **more)


async def answered(asked: Provider, wanted: Question) -> Answer:
    """Asks again if the connection broke off, as a job does: on a busy machine these servers close some. One
    that has died refuses every connection."""
    for _ in range(TRIES):
        try:
            return await asked.ask(wanted)
        except ModelUnavailable as away:
            if away.then is not Then.AGAIN:
                raise
            problem = away
    raise problem


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
async def test_every_shape_of_an_answer(server: str, shape: type[Output]) -> None:
    asked = model(server)
    answer = await answered(asked, question(schema=shape.model_json_schema()))
    assert answer.text.lstrip()[:1] in ("{", ""), "the server keeps to the schema"
    assert asked.learned.times == 0, "nothing was refused"


async def test_every_tool(server: str) -> None:
    asked = model(server)
    for spec in tools.specs():
        await answered(asked, question(tools=(spec,)))
    await answered(asked, question(tools=tools.specs()))
    assert asked.learned.times == 0


@pytest.mark.parametrize("server", OLDER, indirect=True)
async def test_what_is_not_sent_would_be_refused(server: str) -> None:
    """Else the tests above would show nothing. The newest takes it."""
    assert any([await _refuses(server, shape.model_json_schema()) for shape in SHAPES])


async def _refuses(url: str, schema: Mapping[str, Any]) -> bool:
    body = {
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }
    async with httpx.AsyncClient(timeout=60) as client:
        return (await client.post(f"{url}/chat/completions", json=body)).status_code >= 400

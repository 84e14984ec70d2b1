"""A scripted server of models."""

from collections.abc import AsyncIterator

import pytest

from tests.helpers.model_server import Server, open_server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with open_server() as opened:
        yield opened

"""Fixtures for the web process on a real uvicorn, and for people who use it over HTTP."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.helpers.parts import Parts
from tests.helpers.service import Person, Service, serve


@pytest.fixture(scope="session")
async def service(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The web process that all tests here share. Each test has its own users."""
    async with serve(parts, tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def anybody(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has not logged in."""
    async with service.client() as client:
        yield client


@pytest.fixture
async def ada(service: Service) -> AsyncIterator[Person]:
    person = await service.person("Ada")
    yield person
    await person.client.aclose()


@pytest.fixture
async def mallory(service: Service) -> AsyncIterator[Person]:
    person = await service.person("Mallory")
    yield person
    await person.client.aclose()

"""Fixtures: an app in a real box, used through the preview of a real web process."""

from collections.abc import AsyncIterator

import pytest

from tests.helpers.parts import Parts
from tests.helpers.previewed import Shown, build
from tests.helpers.service import Person, Service, serve


@pytest.fixture(scope="session")
async def service(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with serve(parts, tmp_path_factory.mktemp("preview"), cors_origins=None) as running:
        yield running


@pytest.fixture
async def ada(service: Service) -> AsyncIterator[Person]:
    person = await service.person("Ada")
    yield person
    await person.client.aclose()


@pytest.fixture(scope="session")
async def shown(service: Service) -> AsyncIterator[Shown]:
    """An app with a preview, shared by tests that do not change it."""
    person = await service.person("Ada")
    async with build(service, person) as found:
        await found.open()
        yield found
    await person.client.aclose()


@pytest.fixture
async def built(service: Service, ada: Person) -> AsyncIterator[Shown]:
    async with build(service, ada) as found:
        yield found


@pytest.fixture
async def own(built: Shown) -> Shown:
    """An app with a preview for this test only."""
    await built.open()
    return built

"""Copies of the data of apps that went to sleep: when they are made, and that nobody is woken for nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from app.actions import data_copies, runs
from app.actions.sleeping import copy_sleeping
from app.actions.workspaces import container_status, start_container, stop_container
from app.domain.copies import COPY_BYTES, Cause
from app.domain.workspace import Manifest
from app.resources import Resources
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from app.store.tables import GoingLive
from tests.helpers.boxes import output_of
from tests.helpers.copies import an_hour_passes, content, copies_of
from tests.helpers.house import House
from tests.helpers.waiting import until
from workers import leases
from workers.llm.scripted import ScriptedModel

MANIFEST = Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT")


@dataclass
class App:
    """The app of a job, whose client comes and goes."""

    house: House
    job_id: UUID
    visits: list[UUID] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        return self.house.resources.runtime

    async def enter(self, entry: str) -> None:
        """The client wakes the app, enters something and leaves; the app goes to sleep."""
        await start_container(self.house.resources, self.house.user_id, self.job_id)
        app = await self.runtime.attach(self.job_id)
        await output_of(app, f"mkdir -p data; printf '{entry}' >> data/entries")
        await app.close()
        await self.runtime.stop(self.job_id)

    async def look(self) -> int:
        made = await copy_sleeping(self.house.resources, COPY_BYTES)
        assert await self.runtime.awake() == frozenset() or await self.falls_asleep()
        return made

    async def falls_asleep(self) -> bool:
        async def asleep() -> bool:
            return not await self.runtime.awake()

        await until(asleep)
        return True

    async def an_hour_passes(self) -> None:
        await an_hour_passes(self.house.resources)

    async def kept(self) -> list[str]:
        copies = await copies_of(self.house, self.job_id)
        assert {copy.cause for copy in copies} <= {Cause.SLEEP}
        return [await content(self.house, copy, "data/entries") for copy in copies]


@pytest.fixture
async def app(house: House, monkeypatch: pytest.MonkeyPatch) -> App:
    job_id = await house.create()
    box = await house.resources.runtime.attach(job_id, fence=1, create=True)
    await box.save("/app/boardroom.json", MANIFEST.model_dump_json().encode())
    await box.commit("Begin", "Builder")
    await box.close()
    made = App(house, job_id)
    visit = LocalRuntime.visit

    async def counted(self: LocalRuntime, job_id: UUID) -> Workspace:
        made.visits.append(job_id)
        return await visit(self, job_id)

    monkeypatch.setattr(LocalRuntime, "visit", counted)
    await house.resources.runtime.stop(job_id)
    return made


async def test_a_copy_is_made_when_the_app_sleeps_at_most_once_an_hour(app: App) -> None:
    assert await app.look() == 0
    await app.enter("milk;")
    assert await app.look() == 1
    assert await app.kept() == ["milk;"]

    await app.an_hour_passes()
    assert await app.look() == 0
    assert len(app.visits) == 1, "what sleeps since the last copy is not woken"

    await app.enter("bread;")
    assert await app.look() == 1
    await app.enter("eggs;")
    assert await app.look() == 0
    await app.an_hour_passes()
    assert await app.look() == 1, "what was entered within the hour is copied after it"
    assert await app.kept() == ["milk;bread;eggs;"], "of a day the newest is kept"


async def test_data_that_did_not_change_give_no_copy(app: App) -> None:
    await app.enter("")
    await output_of_app(app, "rm -r data")
    assert await app.look() == 0, "no data at all"
    await app.an_hour_passes()
    await app.enter("milk;")
    assert await app.look() == 1
    [first] = await copies_of(app.house, app.job_id)
    await app.an_hour_passes()
    await output_of_app(app, "ls; mkdir src; touch src/gone; rm -r src")
    assert await app.look() == 0
    assert len(app.visits) == 3
    [still] = await copies_of(app.house, app.job_id)
    assert still.id == first.id


async def output_of_app(app: App, command: str) -> None:
    await start_container(app.house.resources, app.house.user_id, app.job_id)
    box = await app.runtime.attach(app.job_id)
    await output_of(box, command)
    await box.close()
    await app.runtime.stop(app.job_id)


async def test_a_worker_that_dies_in_the_middle_leaves_no_half_copy(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.enter("milk;")
    store, reading = data_copies.store, asyncio.Event()

    async def hang(
        resources: Resources, job_id: UUID, archive: AsyncIterator[bytes], most: int
    ) -> data_copies.Archive:
        done = await store(resources, job_id, archive, most)
        reading.set()
        await asyncio.Event().wait()
        return done

    with monkeypatch.context() as misfortune:
        misfortune.setattr(data_copies, "store", hang)
        dying = asyncio.create_task(app.look())
        await reading.wait()
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    await app.falls_asleep()
    assert await app.kept() == []
    assert await app.look() == 0, "within the hour it is not tried again"
    await app.an_hour_passes()
    assert await app.look() == 1
    assert await app.kept() == ["milk;"]


async def test_two_workers_make_one_copy(app: App) -> None:
    await app.enter("milk;")
    assert sorted(await asyncio.gather(app.look(), app.look())) == [0, 1]
    assert await app.kept() == ["milk;"]


async def test_an_app_in_the_middle_of_a_change_or_in_use_is_looked_at_later(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.enter("milk;")
    async with app.house.resources.unit() as unit:
        unit.session.add(GoingLive(job_id=app.job_id, run_id=None, old=None, new="c" * 40, copied=False))
    assert await app.look() == 0
    assert app.visits == []
    async with app.house.resources.unit() as unit:
        await unit.session.delete(await unit.session.get_one(GoingLive, app.job_id))

    store = data_copies.store

    async def disturbed(
        resources: Resources, job_id: UUID, archive: AsyncIterator[bytes], most: int
    ) -> data_copies.Archive:
        client = await app.runtime.attach(job_id)
        running = asyncio.create_task(client.run("sleep 987", timeout_s=60))
        await client.app_status()
        try:
            return await store(resources, job_id, archive, most)
        finally:
            running.cancel()
            await client.close()

    with monkeypatch.context() as misfortune:
        misfortune.setattr(data_copies, "store", disturbed)
        assert await copy_sleeping(app.house.resources, COPY_BYTES) == 0
    await app.runtime.stop(app.job_id)
    assert await app.kept() == []
    assert await app.look() == 1, "it was not that hour's look"


async def test_more_than_may_be_stored_is_not_tried_again_until_it_is_used(app: App) -> None:
    await app.enter("milk;" * 1000)
    assert await copy_sleeping(app.house.resources, 100) == 0
    await app.falls_asleep()
    await app.an_hour_passes()
    assert await copy_sleeping(app.house.resources, 100) == 0
    assert len(app.visits) == 1
    assert await app.kept() == []


async def test_a_stopped_container_is_looked_at_and_stays_stopped(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, user_id = app.house.resources, app.house.user_id
    await start_container(resources, user_id, app.job_id)
    box = await app.runtime.attach(app.job_id)
    await output_of(box, "mkdir data; printf milk > data/entries")
    await box.close()
    await stop_container(resources, user_id, app.job_id)
    seen = list[str]()
    store = data_copies.store

    async def watched(
        resources: Resources, job_id: UUID, archive: AsyncIterator[bytes], most: int
    ) -> data_copies.Archive:
        seen.append((await container_status(resources, user_id, app.job_id)).state)
        return await store(resources, job_id, archive, most)

    monkeypatch.setattr(data_copies, "store", watched)
    assert await app.look() == 1
    assert (seen, await app.kept()) == (["stopped"], ["milk"])


async def test_a_worker_looks_by_itself(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await runs.cancel_job(app.house.resources, app.house.user_id, app.job_id)
    await app.enter("milk;")
    monkeypatch.setattr(leases, "TIDY_AGAIN_S", 0.1)
    async with app.house.worker(ScriptedModel({})):

        async def copied() -> bool:
            return await app.kept() == ["milk;"]

        await until(copied)

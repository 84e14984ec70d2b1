"""Boxes of apps that are not whole: their maker died, or the first version did not go live."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from app.actions import data_copies
from app.actions.sleeping import copy_sleeping
from app.actions.workspaces import app_box
from app.domain.copies import COPY_BYTES, Cause
from app.domain.errors import NotFound
from app.domain.workspace import Manifest
from app.runtime.attachment import Attachment
from app.runtime.live_app import AppHeld
from app.runtime.live_calls import LiveCalls
from app.runtime.workspace import Commit, Workspace
from app.store import boxes, data_looks
from app.store.tables import GoingLive
from tests.helpers.boxes import output_of
from tests.helpers.copies import copies_of
from tests.helpers.house import House
from tests.helpers.on_bench import built, nothing_more
from workers.context import Context
from workers.pipeline.live.bringing import NotLive, bring

SEEDING = Manifest(start="echo seeded > seeded; exec sleep 9")


async def store_copy(context: Context, bench: Workspace, commit: Commit) -> None:
    await output_of(bench, "mkdir -p data; echo milk > data/entries")
    copied = await bench.set_aside(commit.sha)
    archive = await data_copies.keep_aside(context.resources, context.job_id, bench, copied, COPY_BYTES)
    assert archive is not None
    async with context.change() as change:
        await data_copies.note(
            change.unit,
            context.job_id,
            archive,
            cause=Cause.ASKED,
            commit=commit.sha,
            entries=copied.entries,
        )
    await output_of(bench, "rm -r data")


async def shown(house: House, job_id: UUID) -> str:
    async with app_box(house.resources, house.user_id, job_id) as app:
        return await output_of(app, "cat main.py; echo; find . -path ./.git -prune -o -type f -print | sort")


async def test_a_first_version_that_does_not_go_live_leaves_the_app_as_it_was(house: House) -> None:
    async with built(house) as (context, bench, _, new):
        with pytest.raises(NotLive):
            await bring(context, bench, new, SEEDING, nothing_more)
        assert await shown(house, context.job_id) == "one\n./main.py"
        await bring(context, bench, new, SEEDING, nothing_more, strict=False)
        assert (await house.job(context.job_id)).live == new.sha
        assert await shown(house, context.job_id) == "two\n./added.py\n./main.py"
        assert {copy.entries for copy in await copies_of(house, context.job_id)} <= {0}


async def test_a_first_version_that_goes_live_is_made_once(house: House) -> None:
    async with built(house) as (context, bench, _, new):
        await bring(context, bench, new, SEEDING, nothing_more, strict=False)
        assert await shown(house, context.job_id) == "two\n./added.py\n./main.py"
        assert await copies_of(house, context.job_id) == []
        async with house.resources.look() as session:
            assert not await boxes.is_half_made(session, context.job_id)


async def test_a_box_that_was_lost_gets_its_data_before_a_version_goes_live(house: House) -> None:
    async with built(house) as (context, bench, _, new):
        await store_copy(context, bench, new)
        await bring(context, bench, new, SEEDING, nothing_more, strict=False)
        assert await shown(house, context.job_id) == "two\n./added.py\n./data/entries\n./main.py"


STEPS: dict[str, tuple[type, str]] = {
    "unbundle": (Attachment, "unbundle"),
    "restore": (Attachment, "restore"),
    "take_in": (LiveCalls, "take_in"),
    "put_back": (LiveCalls, "put_back"),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_that_dies_while_it_makes_a_box_leaves_none_that_is_half_made(
    house: House, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = STEPS[step]
    async with built(house) as (context, bench, _, new):
        await store_copy(context, bench, new)
        real: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def dies(*_: Any, **__: Any) -> None:
            raise asyncio.CancelledError

        with monkeypatch.context() as misfortune:
            misfortune.setattr(owner, name, dies)
            with pytest.raises(asyncio.CancelledError):
                await shown(house, context.job_id)
        assert getattr(owner, name) is real
        await house.resources.runtime.stop(context.job_id)
        async with house.resources.unit() as unit:
            await data_looks.seen_awake(unit.session, [context.job_id])
        await copy_sleeping(house.resources, COPY_BYTES)
        assert len(await copies_of(house, context.job_id)) == 1, "what is half-made is not copied"
        whole = "one\n./data/entries\n./main.py"
        assert set(await asyncio.gather(*(shown(house, context.job_id) for _ in range(3)))) == {whole}
        async with app_box(house.resources, house.user_id, context.job_id) as app:
            await output_of(app, "echo bread >> data/more")
        assert await shown(house, context.job_id) == "one\n./data/entries\n./data/more\n./main.py"


async def test_nobody_makes_a_box_whole_while_its_first_version_goes_live(house: House) -> None:
    async with built(house) as (context, _, _, new):
        async with context.change() as change:
            await boxes.begin_making(change.session, context.job_id)
            change.session.add(
                GoingLive(job_id=context.job_id, run_id=context.run_id, old=None, new=new.sha, copied=False)
            )
        with pytest.raises(AppHeld):
            await shown(house, context.job_id)


async def test_without_anything_stored_there_is_no_app(house: House) -> None:
    job_id = await house.create()
    with pytest.raises(NotFound):
        await shown(house, job_id)

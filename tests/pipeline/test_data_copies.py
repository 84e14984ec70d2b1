"""Copies of the app's data in the database: when runs make them, and that they bring lost data back."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.actions import data_copies, going_live, runs
from app.domain.copies import Cause
from app.domain.errors import Conflict
from app.domain.workspace import Manifest
from app.runtime.live_calls import LiveCalls
from app.runtime.worlds import World
from app.store import runs as run_rows
from app.store.tables import GoingLive, Message
from tests.helpers.boxes import output_of
from tests.helpers.company import DONE, MORE, growing_company
from tests.helpers.copies import content, copies_of
from tests.helpers.entries import app_of, builder, enter, entries
from tests.helpers.house import House
from workers.context import Context
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel
from workers.pipeline.live.bringing import bring

STORE = "data/entries.txt"


@pytest.mark.timeout(240)
async def test_a_continuation_copies_the_data_and_names_the_copy(house: House) -> None:
    script = {**growing_company(), "intake": lambda _: DONE, "building": builder(STORE)}
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        assert (await house.until_finished(job_id, 110)).status == "build_done"
        assert await copies_of(house, job_id) == []
        await enter(house, job_id, "milk")
        async with app_of(house, job_id) as app:
            await output_of(app, "echo '# the app was here' >> server.py")
        with pytest.MonkeyPatch.context() as misfortune:
            without_room(house, job_id, misfortune)
            await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)
            job = await house.until_finished(job_id, 110)
        assert (job.status, job.failure_code) == ("failed", "checks_failed")
        assert job.error_message.startswith("There is no room in the app's box")
        assert job.error_message.endswith("Delete what is not needed any more in the app, then retry.")
        assert await entries(house, job_id) == '"milk";'

        await enter(house, job_id, "bread")
        await runs.retry_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id, 110)
    assert job.status == "build_done", job.error_message
    before, then = await copies_of(house, job_id)
    assert (before.cause, await content(house, before, STORE)) == (Cause.CONTINUATION, '"milk";')
    assert (then.cause, await content(house, then, STORE)) == (Cause.GOING_LIVE, '"milk";"bread";')
    assert "the app was here" in await content(house, then, "server.py")

    await house.resources.runtime.destroy(job_id)
    assert await entries(house, job_id) == '"milk";"bread";', "a lost box comes back with its data"
    async with house.resources.look() as session:
        messages = await session.scalars(select(Message).where(Message.job_id == job_id))
    [said] = [message for message in messages if "dataCopy" in message.data]
    assert said.data["dataCopy"] == str(then.id)
    assert (
        f"- server.py\n\nA copy of before is kept among those of your app's data: {then.id}." in said.content
    )


def without_room(house: House, job_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is no room for a copy while the app is held."""
    set_aside = LiveCalls.set_aside

    async def full(self: LiveCalls, commit: str | None) -> object:
        async with house.resources.look() as session:
            if await session.get(GoingLive, job_id) is not None:
                raise Conflict("The workspace is full.", code="workspace_full")
        return await set_aside(self, commit)

    monkeypatch.setattr(LiveCalls, "set_aside", full)


async def test_a_stored_copy_is_put_back_if_the_one_aside_is_gone(house: House) -> None:
    job_id = await house.create()
    runtime = house.resources.runtime
    app = await runtime.attach(job_id, fence=1, create=True)
    try:
        await app.save("/app/main.py", b"code")
        head = (await app.commit("Begin", "Builder")).sha
        await output_of(app, "mkdir data; echo milk > data/entries.txt")
        copied = await app.set_aside(head)
        assert await data_copies.keep_aside(house.resources, job_id, app, copied, 1) is None
        archive = await data_copies.keep_aside(house.resources, job_id, app, copied, 1 << 20)
        assert archive is not None
        async with house.resources.unit() as unit:
            await unit.take(job_id, house.user_id)
            copy_id = await data_copies.note(
                unit, job_id, archive, cause=Cause.GOING_LIVE, commit=head, entries=copied.entries
            )
        await output_of(app, "rm -r data .git/boardroom.data; echo new > migrated")
        change = GoingLive(job_id=job_id, run_id=uuid4(), old=head, new=head, copied=True, copy_id=copy_id)
        await going_live.undo(house.resources, app, change, None)
        assert await output_of(app, "cat data/entries.txt; ls") == "milk\ndata\nmain.py"
    finally:
        await app.close()


async def nothing_more(*_: object) -> None:
    """What `bring` records beside the commit."""


async def test_data_come_back_if_the_box_is_lost_while_a_version_goes_live(house: House) -> None:
    job_id, runtime = await house.create(), house.resources.runtime
    async with house.resources.statements() as statements:
        [claim] = await run_rows.claim(statements, "w1", 60)
    context = Context(house.resources, Lineup(ScriptedModel({})), claim.job_id, claim.run_id, claim.fence)
    bench = await runtime.attach(job_id, world=World.BENCH, fence=claim.fence, create=True)
    try:
        await bench.save("/app/main.py", b"one")
        old = await bench.commit("Begin", "Builder")
        await output_of(bench, "mkdir data; echo milk > data/entries.txt")
        copied = await bench.set_aside(old.sha)
        archive = await data_copies.keep_aside(house.resources, job_id, bench, copied, 1 << 20)
        assert archive is not None
        await output_of(bench, "rm -r data")
        await bench.save("/app/main.py", b"two")
        new = await bench.commit("More", "Builder")
        async with context.change() as change:
            change.job.live = old.sha
            copy_id = await data_copies.note(
                change.unit, job_id, archive, cause=Cause.GOING_LIVE, commit=old.sha, entries=copied.entries
            )
            change.session.add(
                GoingLive(
                    job_id=job_id,
                    run_id=claim.run_id,
                    old=old.sha,
                    new=new.sha,
                    copied=True,
                    copy_id=copy_id,
                )
            )
        await bring(context, bench, new, Manifest(start="exec sleep 9"), nothing_more, strict=False)
    finally:
        await bench.close()
    app = await runtime.attach(job_id)
    assert await output_of(app, "cat main.py data/entries.txt") == "twomilk"
    await app.close()


async def test_a_copy_that_nobody_goes_on_putting_back_is_settled_once_the_job_is_free(house: House) -> None:
    job_id = await house.create()
    app = await house.resources.runtime.attach(job_id, fence=1, create=True)
    await app.save("/app/main.py", b"code")
    head = (await app.commit("Begin", "Builder")).sha
    await app.hold()
    async with house.resources.unit() as unit:
        await unit.take(job_id, house.user_id)
        async with house.resources.unit() as other:
            other.session.add(GoingLive(job_id=job_id, run_id=None, old=head, new=head, copied=False))
        assert await going_live.settle(house.resources) == 0
        assert (await app.app_status()).held
    await app.close()
    assert await going_live.settle(house.resources) == 1
    client = await house.resources.runtime.attach(job_id)
    assert not (await client.app_status()).held
    await client.close()
    assert await going_live.settle(house.resources) == 0

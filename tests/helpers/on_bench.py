"""A run with commits on its bench, which tests bring live."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.runtime.workspace import Commit, Workspace
from app.runtime.worlds import World
from app.store import boxes
from app.store import runs as run_rows
from tests.helpers.house import House
from workers.context import Context
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel


@asynccontextmanager
async def built(house: House) -> AsyncIterator[tuple[Context, Workspace, Commit, Commit]]:
    """A run with two commits on its bench, both stored, of which the first is live."""
    job_id = await house.create()
    async with house.resources.statements() as statements:
        [claim] = await run_rows.claim(statements, "w1", 60)
    context = Context(house.resources, Lineup(ScriptedModel({})), claim.job_id, claim.run_id, claim.fence)
    bench = await house.resources.runtime.attach(job_id, world=World.BENCH, fence=claim.fence, create=True)
    try:
        await bench.save("/app/main.py", b"one")
        old = await bench.commit("Begin", "Builder")
        await bench.save("/app/main.py", b"two")
        await bench.save("/app/added.py", b"")
        new = await bench.commit("More", "Builder")
        async with context.change() as change:
            change.job.live, change.job.head = old.sha, new.sha
            await boxes.keep_bundle(change.session, job_id, await bench.bundle())
        yield context, bench, old, new
    finally:
        await bench.close()


async def nothing_more(*_: object) -> None:
    """What `bring` records beside the commit."""

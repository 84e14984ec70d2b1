"""A client who goes on making entries in an app, whatever becomes of the app meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from app.actions import runs
from app.actions.workspaces import start_container
from app.domain.errors import Refusal
from app.runtime.workspace import RuntimeProblem
from tests.helpers.company import DONE, MORE, growing_company
from tests.helpers.entries import builder, enter
from tests.helpers.house import House
from workers.llm.scripted import ScriptedModel

EVERY_S = 0.2
STORE = "data/entries.txt"


def company() -> ScriptedModel:
    return ScriptedModel({**growing_company(), "intake": lambda _: DONE, "building": builder(STORE)})


async def built(house: House) -> UUID:
    """A finished job, in whose app the client has made an entry."""
    async with house.worker(company()):
        job_id = await house.create()
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.verification) == ("build_done", "verified"), job.error_message
        await enter(house, job_id, "milk")
    return job_id


async def more(house: House, job_id: UUID) -> None:
    await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)


async def post(house: House, job_id: UUID, entry: str) -> bool:
    """Make an entry as a browser does, through a connection to the app. Returns whether the app has
    acknowledged it."""
    try:
        workspace = await house.resources.runtime.attach(job_id)
    except RuntimeProblem:
        return False
    try:
        port = (await workspace.app_status()).port
        if port is None:
            return False
        stream = await workspace.dial(port)
        try:
            head = f"POST /entries HTTP/1.1\r\nHost: app\r\nContent-Length: {len(entry)}\r\n\r\n"
            await stream.write((head + entry).encode())
            return (await stream.read()).split(b" ")[1:2] == [b"201"]
        finally:
            await stream.close()
    except (RuntimeProblem, Refusal, ConnectionError):
        return False
    finally:
        await workspace.close()


@asynccontextmanager
async def entering(house: House, job_id: UUID) -> AsyncIterator[list[str]]:
    """Make an entry every `EVERY_S` seconds; gives those that were acknowledged, in order."""
    acknowledged = list[str]()

    async def enter() -> None:
        number = 0
        while True:
            number += 1
            if await post(house, job_id, f"entry-{number}"):
                acknowledged.append(f"entry-{number}")
            else:
                await wake(house, job_id)
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(enter())
    try:
        yield acknowledged
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wake(house: House, job_id: UUID) -> None:
    """Start the app, as somebody who looks at it does. While it is changed, that is refused."""
    try:
        await start_container(house.resources, house.user_id, job_id)
    except (Refusal, RuntimeProblem):
        return

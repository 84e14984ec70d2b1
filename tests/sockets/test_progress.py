"""What goes on in a run, on sockets with `?logs=1` or `?since=`."""

import asyncio
from pathlib import Path

import pytest

from app.actions import runs
from app.domain.ticket import CommandCheck
from tests.helpers.company import BACKLOG, DONE, company
from tests.helpers.house import TERMS
from tests.helpers.parts import Parts, fresh_database
from tests.helpers.sockets import open_socket, stored
from tests.sockets.conftest import add_job, add_person, open_web
from workers.leases import Desk
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel
from workers.pipeline import ticking


async def test_sockets_that_ask_for_it_hear_what_goes_on(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticking, "EVERY_S", 0.02)
    held = CommandCheck(id="c2", criterion=0, run="mkfifo held && cat held")
    _, front, about = BACKLOG.tickets
    backlog = BACKLOG.model_copy(
        update={
            "tickets": [
                BACKLOG.tickets[0],
                front.model_copy(update={"checks": [*front.checks, held]}),
                about,
            ]
        }
    )
    script = company(intake=lambda _: DONE, ticketing=lambda _: backlog)
    async with (
        fresh_database(parts) as url,
        open_web(tmp_path, database_url=url, redis_url=parts.redis_url) as web,
    ):
        ada = await add_person(web.resources)
        job_id = await add_job(web.resources, ada)
        desk = Desk(web.resources, Lineup(ScriptedModel(script)), "w", TERMS)
        async with (
            open_socket(web.url(job_id, "?since=0"), ada.access) as since,
            open_socket(web.url(job_id, "?logs=1"), ada.access) as logs,
            open_socket(web.url(job_id), ada.access) as guide,
        ):
            await runs.start_now(web.resources, ada.id, job_id)
            working = asyncio.create_task(desk.work())
            for socket in (since, logs):
                while (event := await socket.hear(60)).get("text") != "running 2 checks, 0 passed, 1 failed":
                    assert event["kind"] == "progress" or "seq" in event or event["kind"] == "synced"
                assert set(event) == {"kind", "jobId", "text", "ticketId"}
            heard = [await guide.hear(60)]
            while heard[-1].get("status") != "building":
                heard.append(await guide.hear(60))
            working.cancel()
            await asyncio.wait([working])
            await desk.close()
        await web.resources.runtime.destroy(job_id)
        assert "progress" not in {event["kind"] for event in heard}
        assert "progress" not in {event["kind"] for event in await stored(web.resources, job_id)}

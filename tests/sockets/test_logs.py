"""The output of a build on sockets with `?logs=1`."""

import asyncio
from dataclasses import replace
from pathlib import Path

from app.actions import runs
from app.domain.ticket import CommandCheck
from app.runtime.worlds import World
from tests.helpers.company import BACKLOG, DONE, builder, call, company
from tests.helpers.house import TERMS
from tests.helpers.parts import Parts, fresh_database
from tests.helpers.sockets import open_socket, stored
from tests.sockets.conftest import add_job, add_person, open_web
from workers.leases import Desk
from workers.llm.lineup import Lineup
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel

LOUD = "echo begun; until test -e go; do sleep 0.02; done; yes flood | head -c 5000000; echo the end"
CHECK = CommandCheck(id="c2", criterion=0, run="echo said by a check")


def loud_builder(question: Question) -> Line:
    """As `builder`, but it first runs a command that waits for the test and then prints very much."""
    own = [message for message in question.messages if message.role == "assistant"]
    if not own:
        return call("run_command", command=LOUD, timeout_s=60)
    after = tuple(message for message in question.messages if message is not own[0])
    return builder(replace(question, messages=after))


async def test_the_output_of_commands_and_checks_is_heard_as_it_comes(parts: Parts, tmp_path: Path) -> None:
    tickets = [
        each.model_copy(update={"checks": [*each.checks, CHECK]} if each.checks else {})
        for each in BACKLOG.tickets
    ]
    script = company(
        intake=lambda _: DONE,
        building=loud_builder,
        ticketing=lambda _: BACKLOG.model_copy(update={"tickets": tickets}),
    )
    async with (
        fresh_database(parts) as url,
        open_web(tmp_path, database_url=url, redis_url=parts.redis_url) as web,
    ):
        resources = web.resources
        ada = await add_person(resources)
        job_id = await add_job(resources, ada)
        desk = Desk(resources, Lineup(ScriptedModel(script)), "w", TERMS)
        async with (
            open_socket(web.url(job_id, "?logs=1"), ada.access) as wants,
            open_socket(web.url(job_id, "?deltas=1"), ada.access) as plain,
        ):
            await runs.start_now(resources, ada.id, job_id)
            working = asyncio.create_task(desk.work())
            heard = [await wants.hear(60)]
            while heard[-1].get("text") != "begun\n":
                heard.append(await wants.hear(60))
            box = await resources.runtime.attach(job_id, world=World.BENCH)
            await box.run("touch go", timeout_s=10)  # the command's output came while it ran
            while heard[-1].get("status") not in ("build_done", "failed"):
                heard.append(await wants.hear(60))
            others = [await plain.hear(60)]
            while others[-1].get("status") not in ("build_done", "failed"):
                others.append(await plain.hear(60))
            working.cancel()
            await asyncio.wait([working])
            await desk.close()
        await box.close()
        await resources.runtime.destroy(job_id)
        logs = [event for event in heard if event["kind"] == "ticketLog"]
        assert {event["ticketId"] for event in logs} <= {
            e["ticketId"] for e in heard if e["kind"] == "ticketUpdate"
        }
        text = "".join(event["text"] for event in logs)
        assert "flood\n" in text
        assert "the end\n" in text
        assert "said by a check\n" in text
        assert len(text) < 300_000, "a flood is cut"
        assert [e for e in heard if e["kind"] not in ("ticketLog", "progress")] == others
        assert [e["seq"] for e in others] == list(range(others[0]["seq"], others[-1]["seq"] + 1))
        assert "ticketLog" not in {event["kind"] for event in await stored(resources, job_id)}

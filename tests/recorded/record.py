"""Recording the tapes anew, in one go: `make tapes`. No key, no network; ten seconds.

A good one and bad ones, all of a scripted company behind a real HTTP server.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.actions import chat, runs
from app.store.tables import Job
from tests.conftest import Parts, fresh_database, open_parts
from tests.house import House, open_house
from tests.llm.bad_models import BUILDERS, ON_THE_WIRE, Case
from tests.llm.company import plays
from tests.llm.conftest import lineup
from tests.llm.server import Server, open_server
from tests.pipeline.company import MORE, company, growing_company
from workers.llm.lineup import Lineup
from workers.taping import tape

FOLDER = Path(__file__).parent
GO_ON = "Go ahead."


@dataclass(frozen=True)
class Session:
    """What is recorded: who speaks, and what the client says."""

    note: str
    idea: str
    models: Callable[[Server], Lineup]
    said: Sequence[str] = ()
    wishes: Sequence[str] = ()


def _over_http(case: Case) -> Callable[[Server], Lineup]:
    script = company(building=case.building)
    return lambda server: lineup(server, [plays(script, case.misfortunes)])


SCRIPTED = "a scripted company behind a real HTTP server"

SESSIONS = {
    "two-pages": Session(
        f"{SCRIPTED}, at its best, in two runs",
        "Two pages, please.",
        lambda server: lineup(server, [plays(growing_company())]),
        wishes=[MORE],
    ),
    "done-without-work": Session(
        f"{SCRIPTED}; its builder says “done” and does nothing",
        "Two pages, please.",
        _over_http(BUILDERS["builder: “done” without work"]),
        said=[GO_ON],
    ),
    "malformed-json": Session(
        f"{SCRIPTED}; its analyst cannot write JSON",
        "Two pages, please.",
        _over_http(ON_THE_WIRE["answer: malformed JSON"]),
        said=[GO_ON],
    ),
}


async def play(house: House, models: Lineup, idea: str, said: Sequence[str], wishes: Sequence[str]) -> Job:
    """A job whose client says this, one after the other, as long as it is asked."""
    async with house.worker(models):
        job_id = await house.create(idea)
        for place, words in enumerate(said, 1):
            await house.until_answered(job_id, place)
            await chat.say(house.resources, house.user_id, "Ada", job_id, words)
        job = await house.until_finished(job_id)
        for wish in wishes:
            await runs.continue_job(house.resources, house.user_id, "Ada", job_id, wish)
            job = await house.until_finished(job_id)
    return job


async def main(parts: Parts, boxes: Path) -> None:
    async with (
        fresh_database(parts) as database_url,
        open_house(database_url, parts.redis_url, boxes) as house,
        open_server() as server,
    ):
        for name, session in SESSIONS.items():
            job = await play(house, session.models(server), session.idea, session.said, session.wishes)
            server.asked.clear()
            async with house.resources.read() as connection:
                note = f"Recorded from {session.note}."
                lines = [line.model_dump_json() async for line in tape(connection, job.id, note)]
            text = "".join(f"{line}\n" for line in lines)
            (FOLDER / f"{name}.jsonl").write_text(text, "utf-8")
            how = job.verification or job.failure_code
            sys.stdout.write(f"{name}: {how}, {len(lines)} lines, {len(text) // 1024} KB\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, open_parts(Path(folder) / "stack") as opened:
        asyncio.run(main(opened, Path(folder) / "boxes"))

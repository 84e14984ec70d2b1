"""Records all tapes again: `make tapes`. It needs no key and no network, and takes half a minute.

There is a tape of a good run and tapes of bad ones, all with a scripted company behind a real HTTP server.
Values that differ between runs or machines are replaced, so that a diff shows only what has changed in
Boardroom.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from app.actions import chat, runs
from app.runtime.runtime import Runtime
from app.store.tables import Job
from tests.helpers.bad_models import BUILDERS, ON_THE_WIRE, Case
from tests.helpers.company import MORE, company, growing_company
from tests.helpers.house import House, open_house
from tests.helpers.lineup import lineup
from tests.helpers.model_server import Server, open_server
from tests.helpers.parts import Parts, fresh_database, open_parts
from tests.helpers.wire_company import Misfortunes, plays
from workers.llm.lineup import Lineup
from workers.llm.model import Tokens
from workers.llm.scripted import Script
from workers.profiles import served
from workers.taping import tape

FOLDER = Path(__file__).parent
GO_ON = "Go ahead."


@dataclass(frozen=True)
class Session:
    """A run to record: its scripted company, and what the client says."""

    note: str
    idea: str
    models: Callable[[Server], Lineup]
    said: Sequence[str] = ()
    wishes: Sequence[str] = ()


def _speak(script: Script, misfortunes: Misfortunes | None = None) -> Callable[[Server], Lineup]:
    """The same usage for every answer, because a changed prompt must not change the tape's other lines."""
    return lambda server: lineup(server, [plays(script, misfortunes, lambda *_: Tokens(1000, 100))])


def _over_http(case: Case) -> Callable[[Server], Lineup]:
    return _speak(company(building=case.building), case.misfortunes)


SCRIPTED = "a scripted company behind a real HTTP server"

SESSIONS = {
    "two-pages": Session(
        f"{SCRIPTED}, at its best, in two runs",
        "Two pages, please.",
        _speak(growing_company()),
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
    """Play a job whose client gives these answers, one after the other."""
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


async def _nothing(_: Runtime) -> frozenset[str]:
    """The programs in a box on a machine that has nothing but Python."""
    return frozenset()


_ID = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40})\b")

_TIME = re.compile(r"\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d")


def _as_ever(text: str) -> str:
    """The tape without values that are new in every run: ids and commits are numbered in order, all times are
    the same."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        nth = str(len(numbers) + 1)
        return numbers.setdefault(found[0], re.sub(r"[0-9a-f]", "0", found[0])[: -len(nth)] + nth)

    return _TIME.sub("01/Jan/2026 00:00:00", _ID.sub(number, text))


async def main(parts: Parts, boxes: Path) -> None:
    async with (
        fresh_database(parts) as database_url,
        open_house(database_url, parts.redis_url, boxes) as house,
        open_server() as server,
    ):
        for name, session in SESSIONS.items():
            job = await play(house, session.models(server), session.idea, session.said, session.wishes)
            server.asked.clear()
            async with house.resources.look() as rows:
                note = f"Recorded from {session.note}."
                lines = [line.model_dump_json() async for line in tape(rows, job.id, note)]
            text = _as_ever("".join(f"{line}\n" for line in lines))
            (FOLDER / f"{name}.jsonl").write_text(text, "utf-8")
            how = job.verification or job.failure_code
            sys.stdout.write(f"{name}: {how}, {len(lines)} lines, {len(text) // 1024} KB\n")


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory() as folder,
        open_parts(Path(folder) / "stack") as opened,
        patch.object(served, "_look", _nothing),
    ):
        asyncio.run(main(opened, Path(folder) / "boxes"))

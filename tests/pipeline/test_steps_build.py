"""A good model builds an app with a login, forms and an upload, which requests and pages alone prove."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from app.store.tables import Evidence, Screenshot
from tests.helpers import notes_app
from tests.helpers.company import EPIC, REQUIREMENTS, asked_ticket, call, company
from tests.helpers.house import House
from workers.agents.facts import BuildingFacts, ProvingFacts
from workers.agents.outputs import Backlog, Checks, TicketDraft
from workers.llm.model import Question
from workers.llm.scripted import Line, ScriptedModel
from workers.profiles.served import Served

CHECKS = {"T2": notes_app.LOGIN_CHECKS, "T3": notes_app.NOTES_CHECKS}
FILES = [notes_app.FIRST, notes_app.SECOND]


def _story(place: int, key: str) -> TicketDraft:
    return TicketDraft(
        key=key,
        type="story",
        title=f"Story {key}",
        parent="T1",
        requirements=[REQUIREMENTS[place].id],
        depends_on=["T2"] if place else [],
        acceptance_criteria=[f"{key} {number}" for number in range(len(CHECKS[key]))],
    )


OUTLINE = Backlog(tickets=[EPIC, *(_story(place, key) for place, key in enumerate(CHECKS))])


def checks(question: Question) -> Line:
    key = asked_ticket(question).ticket
    found: list[dict[str, Any]] = [
        {"id": f"c{place}", "criterion": place, "kind": "http", **check}
        for place, check in enumerate(CHECKS[key])
    ]
    if ProvingFacts.model_validate_json(question.messages[0].text).browser and key == "T3":
        found.append({"id": "page", "criterion": 0, **notes_app.PAGE_CHECK})
    return Checks.model_validate_json(orjson.dumps({"checks": found}))


def building(question: Question) -> Line:
    shown = BuildingFacts.model_validate_json(question.messages[0].text)
    turn = sum(message.role == "assistant" for message in question.messages)
    return [
        call("write_file", path="server.py", content=FILES[len(shown.finished)]),
        call("write_file", path="boardroom.json", content=notes_app.MANIFEST),
        call("finish", summary="It is there."),
    ][turn]


@pytest.mark.timeout(180)
async def test_a_login_forms_and_an_upload_are_proven_without_a_script(house: House) -> None:
    script = company(ticketing=lambda _: OUTLINE, checks=checks, building=building)
    async with house.worker(ScriptedModel(script)):
        job = await house.until_finished(await house.begin(), 170)
    async with house.resources.look() as session:
        seen = (await session.scalars(select(Evidence).where(Evidence.job_id == job.id))).all()
        pictures = (await session.scalars(select(Screenshot).where(Screenshot.job_id == job.id))).all()
    said = [(item.phase, item.output_tail) for item in seen if not item.passed and item.phase != "red"]
    assert (job.status, job.verification) == ("build_done", "verified"), (job.error_message, said)
    kinds = {item.check["kind"] for item in seen if item.ticket_id is not None}
    assert kinds <= {"http", "page"}
    pages = [item.id for item in seen if item.check["kind"] == "page"]
    assert ("page" in kinds) == bool(pictures) == await Served().browser(house.resources.runtime)
    assert {picture.evidence_id for picture in pictures} <= set(pages)
    assert len(pictures) <= 3

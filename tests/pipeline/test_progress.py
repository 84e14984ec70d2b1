"""Signs of life: what goes on, a failed attempt, and the closing message."""

from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import select

from app.store.tables import Evidence
from tests.helpers.company import DONE, PRD, REQUIREMENTS, clumsy_builder, company
from tests.helpers.house import House
from workers.agents.outputs import OpenQuestion, Requirements, Review
from workers.llm.scripted import ScriptedModel
from workers.progress import Progress


def test_what_began_last_is_told() -> None:
    progress = Progress()
    assert progress.now is None
    ticket = uuid4()
    with progress.doing("Builder thinks", ticket):
        assert str(progress.now) == "Builder thinks (0 s)"
        with progress.checking(9):
            progress.checked(passed=True)
            progress.checked(passed=False)
            assert str(progress.now) == "running 9 checks, 1 passed, 1 failed"
            with progress.doing("CTO reads"):
                progress.checked(passed=True)
            assert str(progress.now) == "running 9 checks, 2 passed, 1 failed"
        assert progress.now is not None
        assert progress.now.ticket_id == ticket
    assert progress.now is None
    progress.checked(passed=True)  # nobody counts


@pytest.mark.long
async def test_a_failed_attempt_is_a_message(house: House) -> None:
    model = ScriptedModel(company(intake=lambda _: DONE, building=clumsy_builder))
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    assert job.status == "build_done"
    said = [e for e in await house.events(job.id) if e.get("content", "").startswith("🔁")]
    assert said[0]["content"] == '🔁 "Page /about": a check failed, trying again (attempt 2)'
    assert (said[0]["role"], said[0]["sender"]) == ("system", "Builder")
    metadata: dict[str, Any] = said[0]["metadata"]
    assert metadata | {"ticketId": "", "evidenceId": ""} == {
        "stage": "building",
        "type": "description",
        "ticketId": "",
        "attempt": 2,
        "evidenceId": "",
    }
    async with house.resources.look() as session:
        seen = await session.scalar(select(Evidence).where(Evidence.id == UUID(metadata["evidenceId"])))
    assert seen is not None
    assert (seen.passed, str(seen.ticket_id)) == (False, metadata["ticketId"])


async def test_the_closing_message_says_how_to_go_on(house: House) -> None:
    question = OpenQuestion(question="Who is “us”?", assumed="The club.")
    model = ScriptedModel(
        company(
            intake=lambda _: DONE,
            analysis=lambda _: Requirements(
                summary="Two pages.", requirements=REQUIREMENTS, assumptions=["Nobody logs in."]
            ),
            prd=lambda _: PRD.model_copy(update={"questions": [question]}),
            review=lambda _: Review(message="Good.", next=["Add a contact page."]),
        )
    )
    async with house.worker(model):
        job = await house.until_finished(await house.create())
    last = (await house.events(job.id))[-2]
    assert last["content"].endswith(
        f"\n\nTo open it: `POST /api/jobs/{job.id}/preview/` answers with its address; on the machine where "
        f"Boardroom runs, `boardroom open {job.id}` opens it."
        "\n\nAssumed, as nobody said otherwise:\n- Nobody logs in."
        "\n\nOpen questions:\n- Who is “us”? Until you say otherwise: The club."
        "\n\nTo change or add something, continue the job and say what you want."
        "\nYou could ask for:\n- Add a contact page."
    ), orjson.dumps(last).decode()

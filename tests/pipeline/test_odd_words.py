"""Characters that a model may write in JSON but PostgreSQL cannot store are replaced, and the job goes on."""

import orjson
import pytest
from pydantic import BaseModel

from app.store import traces
from tests.helpers.company import BACKLOG, DECISION, DONE, PRD, REQUIREMENTS, company
from tests.helpers.house import House
from workers.agents.outputs import Requirements, Review, Turn
from workers.agents.reading import without_nul
from workers.llm.scripted import ScriptedModel

SAID = [
    Requirements(summary="Two pages.", requirements=REQUIREMENTS),
    PRD,
    DECISION,
    Turn(message="Fine."),
    Review(message="Fine."),
]


def odd(said: BaseModel) -> str:
    """An answer with a NUL at the end of every sentence."""
    return said.model_dump_json().replace('."', '.\\u0000"')


async def test_a_model_that_writes_nul_everywhere(house: House) -> None:
    requirements, prd, decision, turn, review = (odd(said) for said in SAID)
    assert all("\\u0000" in said for said in (requirements, prd, decision, turn, review, odd(BACKLOG)))
    script = company(
        intake=lambda _: odd(DONE),
        analysis=lambda _: requirements,
        prd=lambda _: prd,
        decision=lambda _: decision,
        discussion=lambda _: turn,
        ticketing=lambda _: odd(BACKLOG),
        review=lambda _: review,
    )
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.error_message) == ("build_done", "")
    async with house.resources.statements() as statements:
        assert await traces.traced(statements, house.user_id, job_id)


@pytest.mark.parametrize("backslashes", range(6))
def test_only_an_escaped_nul_is_taken_for_one(backslashes: int) -> None:
    text = '{"a":"' + "\\" * backslashes + 'u0000"}'
    try:
        before = orjson.loads(text)["a"]
    except orjson.JSONDecodeError:
        pytest.fail("the test writes no JSON")
    assert orjson.loads(without_nul(text))["a"] == before.replace("\0", "\N{REPLACEMENT CHARACTER}")

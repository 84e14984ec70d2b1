"""A client's entries survive continuations, whatever the Builder does with its own; the Builder's are never
delivered."""

import pytest

from app.actions import runs
from tests.helpers.boxes import output_of
from tests.helpers.company import DONE, MORE, growing_company
from tests.helpers.entries import app_of, builder, enter, entries
from tests.helpers.house import House
from workers.llm.scripted import ScriptedModel

PLACES = ("data/entries.txt", "entries.txt")
"""Where git ignores the app's entries (the scaffold does), and where it does not."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", PLACES)
async def test_entries_survive_a_continuation(house: House, store: str) -> None:
    script = {**growing_company(), "intake": lambda _: DONE, "building": builder(store)}
    async with house.worker(ScriptedModel(script)):
        job_id = await house.create()
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.verification) == ("build_done", "verified"), job.error_message
        assert await entries(house, job_id) == "(none)", "the Builder's entries are not delivered"
        await enter(house, job_id, "milk")
        await enter(house, job_id, "bread")
        await runs.continue_job(house.resources, house.user_id, "Ada", job_id, MORE)
        job = await house.until_finished(job_id, 110)
        assert (job.status, job.verification) == ("build_done", "verified"), job.error_message
        assert await entries(house, job_id) == '"milk";"bread";'
        async with app_of(house, job_id) as app:
            assert (await app.request("GET", "/contact")).status == 200
            assert store not in await output_of(app, "git ls-tree -r --name-only HEAD")

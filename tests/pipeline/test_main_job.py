"""The main job from the idea to the answering app, on real rows, a real bell and a real box."""

from app.domain.job import ORDER
from tests.house import House
from tests.pipeline.company import company
from workers.llm.scripted import ScriptedModel


async def test_an_idea_becomes_a_verified_app(house: House) -> None:
    model = ScriptedModel(company())
    async with house.worker(model):
        job_id = await house.begin()
        job = await house.until_finished(job_id)
    assert (job.status, job.error_message) == ("build_done", "")
    assert job.verification == "verified"
    assert job.manifest is not None
    assert job.manifest["start"] == "python3 server.py"
    events = await house.events(job_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [e["status"] for e in events if e["kind"] == "jobStatus"] == [str(s) for s in ORDER[1:]]
    assert job.last_seq == len(events)
    assert job.model_calls == len(model.asked)

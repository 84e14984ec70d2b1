"""A whole job over HTTP: its requests, and that the recorded usage is what the server billed."""

from app.store.tables import Job
from tests.house import House
from tests.llm.company import plays
from tests.llm.conftest import lineup
from tests.llm.server import Server
from tests.pipeline.company import company
from workers.agents.outputs import ClientReply
from workers.llm.lineup import Lineup

DONE = ClientReply(reply="Thank you.", done=True, summary="Two pages.")


async def play(house: House, models: Lineup) -> Job:
    async with house.worker(models):
        job_id = await house.create()
        return await house.until_finished(job_id)


async def test_a_company_behind_the_wire_builds_an_app(house: House, server: Server) -> None:
    job = await play(house, lineup(server, [plays(company(intake=lambda _: DONE))]))
    assert (job.status, job.verification, job.error_message) == ("build_done", "verified", "")
    made = await house.attempts(job.id)
    assert {attempt.outcome for attempt in made} == {"answered"}
    assert job.model_calls == len(made) == len(server.asked)
    assert job.input_tokens == sum(attempt.input_tokens for attempt in made) > 0
    assert job.committed_tokens == job.input_tokens + job.output_tokens
    assert abs(job.cost_usd - (job.input_tokens + 4 * job.output_tokens) / 1e6) < 1e-9
    assert abs(job.committed_usd - job.cost_usd) < 1e-9
    for attempt in made:
        assert attempt.input_tokens <= attempt.reserved_input, "the estimate holds"
    assert {attempt.model for attempt in made} == {"openai:tiny"}
    assert len({attempt.ticket_id for attempt in made}) == 3, "two tickets, and what belongs to none"

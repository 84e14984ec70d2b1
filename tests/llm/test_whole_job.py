"""A whole job over HTTP: its requests, and that the recorded usage is what the server billed."""

from tests.helpers.company import DONE, company
from tests.helpers.house import House, play
from tests.helpers.lineup import LONG, lineup
from tests.helpers.model_server import Server
from tests.helpers.wire_company import plays


async def test_a_company_behind_the_wire_builds_an_app(house: House, server: Server) -> None:
    job = await play(house, lineup(server, [plays(company(intake=lambda _: DONE))], times=LONG))
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

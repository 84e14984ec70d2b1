"""With every bad model of `bad_models` the job ends inside its budget with the true reason, and is never
`build_done` while a check fails."""

from collections.abc import Mapping

import orjson
import pytest

from tests.helpers.bad_models import BUILDERS, ON_THE_WIRE, WEAKENERS, Case, Ending, play
from tests.helpers.company import DONE, company
from tests.helpers.house import House
from tests.helpers.house import play as play_one
from tests.helpers.lineup import lineup
from tests.helpers.model_server import Server, refuses
from tests.helpers.wire_company import plays


@pytest.mark.long
@pytest.mark.parametrize(
    ("cases", "slots"),
    [(ON_THE_WIRE, 12), (BUILDERS, 4), (WEAKENERS, 4)],
    ids=["wire", "builders", "weakeners"],
)
async def test_models_that_must_be_survived(
    house: House, server: Server, subtests: pytest.Subtests, cases: Mapping[str, Case], slots: int
) -> None:
    for name, ending in (await play(house, server, cases, slots)).items():
        with subtests.test(name):
            holds(cases[name], ending)


def holds(case: Case, ending: Ending) -> None:
    job, made = ending.job, ending.attempts
    assert ending.how == case.ends, job.error_message
    assert (job.status == "build_done") is (case.ends == "verified")
    assert ending.closed == case.closed or not case.closed, "it failed for another reason"
    assert len(ending.asked) == len(made) <= case.requests
    assert {attempt.outcome for attempt in made} & {"open", "lost"} == set()
    assert job.model_calls == sum(attempt.outcome == "answered" for attempt in made)
    assert job.committed_tokens == job.input_tokens + job.output_tokens
    sent = orjson.dumps([exchange.body for exchange in ending.asked]).decode()
    assert "sk-first" not in sent + job.error_message, "no key reaches a box or a client"
    assert "postgresql" not in sent
    if case.ends == "model_unavailable":
        assert job.error_message.startswith("The language model does not answer")
        assert "For the operator: openai:tiny " in job.error_message
        assert job.error_message.endswith(" `boardroom model check` says what works.")
        assert len(made) == case.requests, "as often as it should, and no more"
        analysed = [attempt.outcome for attempt in made if attempt.agent == "Business Analyst"]
        assert ("answered" in analysed) is (
            "analysis" not in case.misfortunes or "discussion" in case.misfortunes
        )
    if case.ends == "model_misbehaved":
        assert len(made) == case.requests


async def test_the_fallback_builds_what_the_first_model_refuses(house: House, server: Server) -> None:
    good = plays(company(intake=lambda _: DONE))
    job = await play_one(house, lineup(server, [refuses(401)], fallback=[good]))
    assert (job.status, job.verification) == ("build_done", "verified")
    made = await house.attempts(job.id)
    assert {attempt.model for attempt in made if attempt.outcome == "answered"} == {"openai:other"}


async def test_the_fallback_takes_over_from_a_server_that_fails(house: House, server: Server) -> None:
    good = plays(company(intake=lambda _: DONE), {"discussion": refuses(400, "enough for a test")})
    job = await play_one(house, lineup(server, [refuses(500)], fallback=[good]))
    assert "enough for a test" in job.error_message
    made = await house.attempts(job.id)
    assert {attempt.model for attempt in made if attempt.outcome == "answered"} == {"openai:other"}


async def test_a_bad_request_does_not_go_to_the_fallback(house: House, server: Server) -> None:
    good = plays(company(intake=lambda _: DONE))
    job = await play_one(house, lineup(server, [refuses(400)], fallback=[good]))
    assert job.failure_code == "model_unavailable"
    assert len(server.asked) == 1

"""A model that is overloaded, starting or away is waited for: by its worker for a while, then without "
"one, until
patience is over. The client is told once, and may end it."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from app.actions import runs
from app.store import runs as run_rows
from app.store.tables import Run
from tests.helpers.company import DONE, company
from tests.helpers.house import TERMS, House
from tests.helpers.lineup import HASTE, lineup
from tests.helpers.model_server import Exchange, Move, Server, refuses, says
from tests.helpers.ports import free_port
from tests.helpers.waiting import until
from tests.helpers.wire_company import plays
from tests.llm.single import Free, error, opened, question
from workers.llm.calling import call
from workers.llm.lineup import Lineup
from workers.llm.model import ModelUnavailable, Then

LONG = replace(HASTE, in_slot_s=30, wait_s=60)

DELAYS = {
    "a header": (refuses(429, retry_after="7"), 7),
    "a header in milliseconds": (refuses(429, retry_after_ms="2500"), 2.5),
    "Gemini, in words": (
        error(429, {"error": {"message": "You exceeded your quota. Please retry in 24.5s."}}),
        24.5,
    ),
    "Gemini, in its details": (
        error(
            429,
            {"error": {"message": "Quota.", "details": [{"@type": "RetryInfo", "retryDelay": "24s"}]}},
        ),
        24,
    ),
    "OpenAI, in words": (
        error(429, {"error": {"message": "Rate limit reached. Please try again in 1m30.5s."}}),
        90.5,
    ),
    "in milliseconds": (error(429, {"error": {"message": "Please try again in 250ms."}}), 0.25),
    "in a sentence": (error(503, {"error": {"message": "Busy. Retry after 12 seconds."}}), 12),
    "Hugging Face": (error(503, {"error": "Model x is currently loading", "estimated_time": 20.0}), 20),
    "reset headers": (refuses(429, x_ratelimit_reset_requests="1s", x_ratelimit_reset_tokens="6m0s"), 360),
    "no word of it": (refuses(503), None),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(("move", "seconds"), DELAYS.values(), ids=DELAYS)
async def test_the_time_that_a_server_names(
    server: Server, move: Move, seconds: float | None, stream: bool
) -> None:
    with pytest.raises(ModelUnavailable) as problem:
        await opened(server, move, stream=stream).ask(question())
    assert (problem.value.then, problem.value.retry_after) == (Then.LATER, seconds)


LOADS = {
    "llama.cpp": error(503, {"error": {"message": "Loading model", "type": "unavailable_error"}}),
    "LM Studio": error(400, {"error": {"message": "Model is loading, please wait"}}),
    "overloaded": error(529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}),
}


@pytest.mark.parametrize("move", LOADS.values(), ids=LOADS)
async def test_a_server_that_starts_is_waited_for(server: Server, move: Move) -> None:
    """Longer than its tries, as long as the worker's time allows."""
    model = opened(server, *[move] * 9, says("Well."))
    assert (await call([model], question(), Free(), LONG)).answer.text == "Well."
    with pytest.raises(ModelUnavailable) as problem:
        await call([opened(server, move)], question(), Free(), HASTE)
    assert (problem.value.then, len(server.asked)) == (Then.LATER, HASTE.tries)


async def test_another_model_is_asked_before_one_is_waited_for(server: Server) -> None:
    away = opened(server, refuses(503), key="sk-away-0123456789")
    other = opened(server, says("Well."))
    assert (await call([away, other], question(), Free(), LONG)).answer.text == "Well."
    assert len(server.asked) == HASTE.tries + 1


async def _run(house: House, job_id: UUID) -> Run:
    async with house.resources.unit() as unit:
        run = await run_rows.latest(unit.session, job_id)
    assert run is not None
    return run


def patient(server: Server, moves: Sequence[Move], *, wait_s: float) -> Lineup:
    return replace(lineup(server, moves), patience=replace(HASTE, tries=2, again_s=0.2, wait_s=wait_s))


async def _told(house: House, job_id: UUID, words: str) -> int:
    return sum(words in event.get("content", "") for event in await house.events(job_id))


async def _until_it_waits(house: House, job_id: UUID) -> None:
    await until(lambda: _told(house, job_id, "Waiting for it"))


class Gate:
    """A company's server that can be shut."""

    def __init__(self, refusal: Move) -> None:
        self.shut = True
        self._good = plays(company(intake=lambda _: DONE))
        self._refusal = refusal

    async def __call__(self, exchange: Exchange) -> None:
        await (self._refusal if self.shut else self._good)(exchange)


async def test_a_run_waits_without_a_worker_and_goes_on(house: House, server: Server) -> None:
    gate = Gate(refuses(429))
    terms = replace(TERMS, slots=1)
    async with house.worker(patient(server, [gate], wait_s=60), terms=terms):
        first, second = await house.create(), await house.create()
        for job_id in (first, second):  # with one slot: neither keeps it
            await _until_it_waits(house, job_id)
        asked = len(server.asked)

        async def asked_again() -> bool:
            return len(server.asked) > asked + 3

        await until(asked_again)
        run = await _run(house, first)
        assert (run.state, run.waiting_for) == ("ready", "model")
        waits = await house.job(first)
        assert (waits.error_message, waits.waiting_for) == ("", "model")
        gate.shut = False
        job = await house.until_finished(first)
        assert (await house.until_finished(second)).status == "build_done"
    assert (job.status, job.verification) == ("build_done", "verified")
    assert await _told(house, first, "Waiting for it") == 1, "it is said once"
    assert await _told(house, first, "The model answers again") == 1
    assert (await _run(house, first)).waiting_for == job.waiting_for == ""


async def test_patience_ends(house: House, server: Server) -> None:
    async with house.worker(patient(server, [refuses(503)], wait_s=1)):
        job_id = await house.create()
        job = await house.until_finished(job_id)
    assert (job.status, job.failure_code) == ("failed", "model_unavailable")
    client, _, operator = job.error_message.partition(" For the operator: ")
    assert client.startswith("The language model does not answer")
    assert "openai" not in client
    assert "openai:tiny answered 503" in operator
    assert len(server.asked) > 3, "it was asked more often than its tries"
    gate = Gate(refuses(503))
    gate.shut = False
    async with house.worker(patient(server, [gate], wait_s=1)):
        await runs.retry_job(house.resources, house.user_id, job_id)
        assert (await house.until_finished(job_id)).status == "build_done", "patience begins anew"


@pytest.mark.parametrize("how", ["cancel", "pause"])
async def test_the_client_ends_the_wait(house: House, server: Server, how: str) -> None:
    gate = Gate(refuses(503, retry_after="2"))
    async with house.worker(patient(server, [gate], wait_s=60)):
        job_id = await house.create()
        await _until_it_waits(house, job_id)
        if how == "cancel":
            await runs.cancel_job(house.resources, house.user_id, job_id)
            assert (await house.job(job_id)).failure_code == "cancelled"
            return
        await runs.pause_job(house.resources, house.user_id, job_id)
        gate.shut = False
        asked = len(server.asked)
        await runs.resume_job(house.resources, house.user_id, job_id)
        job = await house.until_finished(job_id)
        assert (job.status, len(server.asked) > asked) == ("build_done", True)


async def test_a_server_that_is_not_there_yet(house: House, server: Server) -> None:
    """Refused connections are waited for: a worker may start before its model's server."""
    models = patient(server, [says("x")], wait_s=60)
    away = replace(models, first=opened(replace(server, url=f"http://127.0.0.1:{free_port()}/v1"), says("x")))
    async with house.worker(away):
        job_id = await house.create()
        await _until_it_waits(house, job_id)
        await runs.cancel_job(house.resources, house.user_id, job_id)
    made = await house.attempts(job_id)
    assert {attempt.outcome for attempt in made} == {"connection"}
    assert (await house.job(job_id)).committed_tokens == 0, "nothing was sent, nothing is paid"

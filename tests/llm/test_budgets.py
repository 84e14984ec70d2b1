"""Budgets hold with parallel requests, workers that die at any moment, and wrong bills of a server."""

import asyncio
import random
import re
from collections import Counter
from dataclasses import replace
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from app.actions import budgets, runs
from app.domain.budget import NO_LIMITS, Limits, Use
from app.store import spending
from app.store.runs import claim
from app.store.spending import Purpose, Refused
from tests.helpers import model_server as wire
from tests.helpers.company import DONE, REQUIREMENTS, company
from tests.helpers.house import TERMS, House, play
from tests.helpers.lineup import LONG, lineup
from tests.helpers.model_server import Exchange, Server, refuses, says
from tests.helpers.wire_company import plays, question_of
from workers.agents.outputs import Requirements
from workers.llm.model import Tokens


async def make(house: House) -> UUID:
    return await house.create()


async def claimed(house: House) -> Purpose:
    """A job whose run is held by the test, not by a worker."""
    job_id = await make(house)
    async with house.resources.statements() as statements:
        [held] = await claim(statements, "test", 600)
    assert held.job_id == job_id
    return Purpose(job_id, held.run_id, held.fence, "a", "CEO")


@pytest.mark.parametrize("seed", range(3))
async def test_budgets_are_never_overrun(house: House, seed: int) -> None:
    """Many jobs of one user at once, with answers, failures, dying workers and bills below the worst case. Up
    to three requests of a job run at the same time. After each step all limits are checked."""
    limits = Limits(job_tokens=2500, job_usd=0.06, day_tokens=9000, day_usd=0.22)

    async def live(number: int, purpose: Purpose) -> Counter[str]:
        chance = random.Random(4 * seed + number)
        met: Counter[str] = Counter()
        under_way: list[tuple[int, Use]] = []
        for _ in range(25):
            tokens_in, tokens_out = chance.randrange(1, 400), chance.randrange(1, 400)
            worst = Use(tokens_in, tokens_out, cost_usd=(tokens_in + 4 * tokens_out) / 1e5)
            async with house.resources.statements() as statements:
                made = await spending.reserve(statements, purpose, "m", worst, limits)
            if isinstance(made, Refused):
                met[made.limit] += 1
            else:
                share = chance.random()
                billed = Use(int(tokens_in * share), int(tokens_out * share), cost_usd=0.0)
                billed = replace(billed, cost_usd=(billed.input_tokens + 4 * billed.output_tokens) / 1e5)
                under_way.append((made, billed))
            await hold()
            while len(under_way) > chance.randrange(4):
                attempt, billed = under_way.pop(chance.randrange(len(under_way)))
                if chance.random() < 0.8:  # otherwise its worker died
                    used = chance.choice([billed, None])
                    async with house.resources.statements() as statements:
                        await spending.settle(statements, attempt, "answered", used, 1)
                    await hold()
        return met

    async def hold() -> None:
        async with house.resources.look() as session:
            over = await session.scalar(
                text(
                    "select (select count(*) from jobs where committed_tokens > 2500"
                    " or committed_usd > 0.06 + 1e-9 or input_tokens + output_tokens > committed_tokens)"
                    " + (select count(*) from user_days where committed_tokens > 9000"
                    " or committed_usd > 0.22 + 1e-9)"
                )
            )
        assert over == 0

    purposes = [await claimed(house) for _ in range(4)]
    met = await asyncio.gather(*(live(number, purpose) for number, purpose in enumerate(purposes)))
    assert sum(met, Counter())["job"] + sum(met, Counter())["day"] > 0, "the limits were met"
    async with house.resources.look() as session:
        day = (await session.execute(text("select committed_tokens, committed_usd from user_days"))).one()
        query = text("select sum(committed_tokens), sum(committed_usd) from jobs")
        total = (await session.execute(query)).one()
    assert day[0] == total[0]
    assert abs(day[1] - total[1]) < 1e-9


async def test_a_settled_request_is_settled_once(house: House) -> None:
    purpose = await claimed(house)
    async with house.resources.statements() as statements:
        made = await spending.reserve(statements, purpose, "m", Use(10, 20, cost_usd=1.0), NO_LIMITS)
        assert isinstance(made, int)
        for _ in range(2):
            used = Use(5, 5, cost_usd=0.5)
            await spending.settle(statements, made, "answered", used, 1)
    job = await house.job(purpose.job_id)
    assert (job.input_tokens, job.output_tokens, job.cost_usd, job.model_calls) == (5, 5, 0.5, 1)
    assert (job.committed_tokens, job.committed_usd) == (10, 0.5)


async def test_a_worker_whose_run_is_not_its_own_reserves_nothing(house: House) -> None:
    purpose = await claimed(house)
    stale = replace(purpose, fence=purpose.fence - 1)
    gone = replace(purpose, job_id=uuid7())
    async with house.resources.statements() as statements:
        for wrong in (stale, gone):
            found = await spending.reserve(statements, wrong, "m", Use(1, 1), NO_LIMITS)
            assert found == Refused("lease")


@pytest.mark.long
async def test_a_spent_budget_ends_the_job_and_a_higher_one_goes_on(house: House, server: Server) -> None:
    models = lineup(server, [plays(company(intake=lambda _: DONE))], times=LONG)
    async with house.worker(models):
        job_id = await make(house)
        whole = await house.until_finished(job_id)
    needed = whole.committed_tokens
    server.asked.clear()
    models = lineup(server, [plays(company(intake=lambda _: DONE))], times=LONG)
    limits = Limits(job_tokens=needed * 2)
    job_id = await make(house)
    first = needed + 15_000  # spent in the middle of the building
    await budgets.set_budget(house.resources, house.user_id, job_id, first, None, limits)
    async with house.worker(models, terms=replace(TERMS, limits=limits)):
        spent = 0
        while (job := await house.until_finished(job_id)).status == "failed":
            assert job.failure_code == "budget"
            assert "POST …/budget/" in job.error_message
            assert job.committed_tokens <= first + spent * 8000
            spent += 1
            more = first + spent * 8000
            await budgets.set_budget(house.resources, house.user_id, job_id, more, None, limits)
            await runs.retry_job(house.resources, house.user_id, job_id)
    assert spent > 0
    assert (job.status, job.verification) == ("build_done", "verified")
    asked = Counter(orjson.dumps(exchange.body) for exchange in server.asked)
    unanswered = [each.outcome for each in await house.attempts(job_id) if each.outcome != "answered"]
    again = asked.total() - len(asked)
    assert again <= len(unanswered), "nothing is asked again but what, on a busy machine, came too late"
    assert job.model_calls == whole.model_calls


@pytest.mark.parametrize(("tokens", "told"), [(8_000, "a whole day"), (40_000, "Retry tomorrow")])
async def test_a_day_has_a_budget_too(tokens: int, told: str, house: House, server: Server) -> None:
    models = lineup(server, [plays(company(intake=lambda _: DONE))])
    async with house.worker(models, terms=replace(TERMS, limits=Limits(day_tokens=tokens))):
        job = await house.until_finished(await make(house))
    assert job.failure_code == "budget"
    assert told in job.error_message
    assert (found := re.search(r"up to ([\d,]+) tokens", job.error_message))
    assert int(found[1].replace(",", "")) > tokens - job.committed_tokens


async def test_a_budget_in_usd_needs_a_price(house: House, server: Server) -> None:
    models = lineup(server, [plays(company(intake=lambda _: DONE))])
    models.first._price = lambda _: None  # type: ignore[attr-defined]
    job_id = await make(house)
    await budgets.set_budget(house.resources, house.user_id, job_id, None, 5.0, NO_LIMITS)
    async with house.worker(models):
        job = await house.until_finished(job_id)
    assert (job.failure_code, server.asked) == ("budget", [])
    assert "MODEL_INPUT_PRICE_USD" in job.error_message


async def test_an_answer_lost_with_its_worker_is_charged_and_asked_for_once_more(
    house: House, server: Server
) -> None:
    """The first worker is stopped while the server thinks; the second continues the run."""
    good = plays(company(intake=lambda _: DONE), {"ticketing": wire.refuses(400)})
    held = asyncio.Event()

    async def first(exchange: Exchange) -> None:
        if question_of(exchange).purpose == "prd" and not held.is_set():
            held.set()
            await wire.never_answers(exchange)
        else:
            await good(exchange)

    models = lineup(server, [first])
    async with house.worker(models, "w1"):
        job_id = await make(house)
        await held.wait()
    async with house.worker(models, "w2"):
        job = await house.until_finished(job_id)
    made = await house.attempts(job_id)
    (lost,) = [attempt for attempt in made if attempt.outcome == "lost"]
    assert lost.input_tokens + lost.output_tokens == lost.reserved_input + lost.reserved_output
    assert [attempt.outcome for attempt in made if attempt.agent == "Project Manager"][:2] == [
        "lost",
        "answered",
    ]
    assert job.input_tokens == sum(attempt.input_tokens for attempt in made)
    asked = Counter(orjson.dumps(exchange.body) for exchange in server.asked)
    assert sorted(asked.values(), reverse=True)[:2] == [2, 1]
    assert len(made) == len(server.asked)


async def test_what_a_cancelled_request_may_cost_is_charged_at_once(house: House, server: Server) -> None:
    asked = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        asked.set()
        await wire.never_answers(exchange)

    models = lineup(server, [plays(company(intake=lambda _: DONE), {"analysis": silent})])
    async with house.worker(models):
        job_id = await make(house)
        await asked.wait()
        await runs.cancel_job(house.resources, house.user_id, job_id)
        job = await house.job(job_id)
        assert job.committed_tokens == job.input_tokens + job.output_tokens, "nothing is reserved any more"
        async with asyncio.timeout(5):
            while not server.asked[-1].left:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    made = await house.attempts(job_id)
    assert [attempt.outcome for attempt in made] == ["answered", "lost"]
    assert (await house.job(job_id)).committed_tokens == job.committed_tokens


async def test_without_a_bill_the_reservation_is_charged(house: House, server: Server) -> None:
    reply = wire.says(DONE.model_dump_json(), tokens=None)
    good = plays(company(), {"intake": reply, "analysis": wire.refuses(400)})
    async with house.worker(lineup(server, [good])):
        job = await house.until_finished(await make(house))
    made = await house.attempts(job.id)
    assert made[0].outcome == "answered"
    assert (made[0].input_tokens, made[0].output_tokens) == (made[0].reserved_input, made[0].reserved_output)


@pytest.mark.filterwarnings("ignore:Failed to extract usage")
@pytest.mark.parametrize("bill", [Tokens(10**30, 7), Tokens(7, 10**12), Tokens(-5, 7), Tokens(7, -(10**30))])
async def test_an_impossible_bill_is_ignored(house: House, server: Server, bill: Tokens) -> None:
    """The reservation is charged, as if the server had sent no bill."""
    answer = Requirements(summary="Two pages.", requirements=REQUIREMENTS)
    odd = says(answer.model_dump_json(), tokens=bill)
    script = plays(company(intake=lambda _: DONE), {"analysis": [odd], "discussion": refuses(400)})
    job = await play(house, lineup(server, [script]))
    assert job.failure_code == "model_unavailable"
    (made,) = [attempt for attempt in await house.attempts(job.id) if attempt.agent == "Business Analyst"]
    assert (made.input_tokens, made.output_tokens) == (made.reserved_input, made.reserved_output)
    assert job.committed_tokens == job.input_tokens + job.output_tokens

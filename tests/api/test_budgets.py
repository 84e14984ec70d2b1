"""The usage of a job, and its budget."""

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from app.domain.budget import NO_LIMITS, Use
from app.store import spending
from app.store.runs import claim
from app.store.spending import Purpose
from tests.helpers.parts import Parts
from tests.helpers.rows import add_ticket
from tests.helpers.service import Person, Service, serve


async def use(service: Service, job_id: str, agent: str, ticket_id: str | None, used: Use | None) -> None:
    """Record a request to a model, as a worker does."""
    async with service.resources.unit() as unit:
        run = await unit.session.scalar(text("select id from runs where job_id = :id"), {"id": job_id})
        await unit.session.execute(text("update runs set lease_until = null where id = :id"), {"id": run})
    async with service.resources.statements() as statements:
        [held] = await claim(statements, "test", 600, run)
    ticket = UUID(ticket_id) if ticket_id else None
    purpose = Purpose(UUID(job_id), run, held.fence, "s", agent, ticket)
    worst = Use(100, 200, cost_usd=0.03)
    async with service.resources.statements() as statements:
        made = await spending.reserve(statements, purpose, "openai:m", worst, NO_LIMITS)
        assert isinstance(made, int)
        if used is not None:
            await spending.settle(statements, made, "answered", used, 5)


async def test_usage_by_role_and_ticket(service: Service, ada: Person, mallory: Person) -> None:
    job_id = await ada.job()
    empty = (await ada.client.get(f"/api/jobs/{job_id}/usage/")).json()
    assert (empty["by_role"], empty["by_ticket"], empty["token_budget"]) == ([], [], 5_000_000)
    ticket_id = await add_ticket(service.resources, job_id, 1)
    await use(service, job_id, "CEO", None, Use(10, 20, 5, 0.01, 3))
    await use(service, job_id, "Builder", ticket_id, Use(30, 40, 0, 0.02))
    await use(service, job_id, "Builder", ticket_id, None)
    found = (await ada.client.get(f"/api/jobs/{job_id}/usage/")).json()
    assert (found["input_tokens"], found["output_tokens"], found["model_calls"]) == (40, 60, 2)
    assert found["reserved_tokens"] == 300
    assert [(row["role"], row["attempts"], row["input_tokens"]) for row in found["by_role"]] == [
        ("Builder", 2, 30),
        ("CEO", 1, 10),
    ]
    assert (found["by_role"][1]["cached_tokens"], found["by_role"][1]["cache_write_tokens"]) == (5, 3)
    assert [(row["title"], row["output_tokens"]) for row in found["by_ticket"]] == [("Ticket 1", 40)]
    assert (await ada.client.get(f"/api/jobs/{job_id}/")).json()["usage"]["model_calls"] == 2
    assert (await mallory.client.get(f"/api/jobs/{job_id}/usage/")).status_code == 404


async def test_a_budget_of_the_jobs_own(ada: Person, mallory: Person) -> None:
    job_id = await ada.job()
    address = f"/api/jobs/{job_id}/budget/"
    raised = await ada.client.post(address, json={"token_budget": 7000})
    assert (raised.json()["token_budget"], raised.json()["cost_budget_usd"]) == (7000, None)
    raised = await ada.client.post(address, json={"cost_budget_usd": 2.5})
    assert (raised.json()["token_budget"], raised.json()["cost_budget_usd"]) == (7000, 2.5)
    assert (await mallory.client.post(address, json={"token_budget": 1})).status_code == 404


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"token_budget": 10**12},
            "A job may use at most 9,000 tokens here. The operator can raise JOB_TOKEN_BUDGET.",
        ),
        ({"token_budget": 9001, "cost_budget_usd": 1}, "9,000 tokens"),
        (
            {"token_budget": 1, "cost_budget_usd": 2.51},
            "at most 2.50 USD here. The operator can raise JOB_COST_BUDGET_USD",
        ),
    ],
)
async def test_no_budget_is_above_the_operators(
    parts: Parts, tmp_path: Path, body: dict[str, object], told: str
) -> None:
    async with serve(parts, tmp_path, job_token_budget=9000, job_cost_budget_usd=2.5) as service:
        ada = await service.person()
        job_id = await ada.job()
        address = f"/api/jobs/{job_id}/budget/"
        assert (
            await ada.client.post(address, json={"token_budget": 9000, "cost_budget_usd": 2.5})
        ).is_success
        refused = await ada.client.post(address, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "over_limit")
        assert told in refused.json()["detail"]
        # What was set before there was a limit ends there, too.
        async with service.resources.unit() as unit:
            await unit.session.execute(text("update jobs set token_budget = 1000000000000"))
        found = (await ada.client.get(f"/api/jobs/{job_id}/usage/")).json()
        assert (found["token_budget"], found["cost_budget_usd"]) == (9000, 2.5)
        await ada.client.aclose()


@pytest.mark.parametrize("body", [{"token_budget": 0}, {"token_budget": "x"}, {"cost_budget_usd": -1}])
async def test_an_invalid_budget_is_refused(ada: Person, body: dict[str, object]) -> None:
    job_id = await ada.job()
    refused = await ada.client.post(f"/api/jobs/{job_id}/budget/", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")

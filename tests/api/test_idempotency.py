"""`Idempotency-Key`: a request takes effect once, however often it is sent."""

import asyncio

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.idempotency import Once, take
from tests.helpers.rows import fail_job
from tests.helpers.service import Person, Service


async def create(person: Person, key: str, prompt: str = "An idea") -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await person.client.post("/api/jobs/", json={"prompt": prompt}, headers=headers)


async def count_jobs(person: Person) -> int:
    return len((await person.client.get("/api/jobs/")).json())


async def test_a_retry_gets_the_first_answer(ada: Person, mallory: Person) -> None:
    first, again = await create(ada, "k"), await create(ada, "k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await count_jobs(ada) == 1
    assert (await create(mallory, "k")).json()["id"] != first.json()["id"]
    assert (await create(ada, "K")).json()["id"] != first.json()["id"]


async def test_another_body_is_a_mismatch(ada: Person) -> None:
    await create(ada, "k")
    answer = await create(ada, "k", "Another idea")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


async def test_both_spellings_are_one_path(ada: Person) -> None:
    first = await create(ada, "k")
    headers = {"Idempotency-Key": "k"}
    again = await ada.client.post("/api/jobs", json={"prompt": "An idea"}, headers=headers)
    assert again.json() == first.json()


async def test_many_at_once_make_one_job(ada: Person) -> None:
    answers = await asyncio.gather(*(create(ada, "k") for _ in range(20)))
    made = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.json()["id"] for answer in made}) == 1
    assert {answer.json()["code"] for answer in refused} <= {"idempotency_in_progress"}
    assert await count_jobs(ada) == 1


async def test_refusals_are_kept_too(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    url, headers = f"/api/jobs/{job_id}/retry/", {"Idempotency-Key": "k"}
    first = await ada.client.post(url, headers=headers)
    assert first.status_code == 409
    await fail_job(service.resources, job_id)
    again = await ada.client.post(url, headers=headers)
    assert (again.status_code, again.content) == (409, first.content)
    assert again.headers["content-type"] == "application/problem+json"
    invalid = [await create(ada, "i", " ") for _ in range(2)]
    assert [answer.status_code for answer in invalid] == [422, 422]
    assert invalid[1].headers["idempotent-replayed"] == "true"


async def test_the_first_is_still_running(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await fail_job(service.resources, job_id)
    url, headers = f"/api/jobs/{job_id}/retry/", {"Idempotency-Key": "k"}
    async with service.resources.unit() as unit:
        await unit.session.execute(text("select 1 from jobs where id = :id for update"), {"id": job_id})
        first = asyncio.create_task(ada.client.post(url, headers=headers))

        async def begun() -> bool:
            async with service.resources.look() as session:
                waiting = (
                    "select 1 from pg_locks where not granted and locktype in ('tuple', 'transactionid')"
                )
                return (await session.execute(text(waiting))).first() is not None

        async with asyncio.timeout(10):
            while not await begun():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        answer = await ada.client.post(url, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_progress")
    assert (await first).status_code == 202
    again = await ada.client.post(url, headers=headers)
    assert (again.status_code, again.content) == (202, (await first).content)


async def test_a_key_is_good_for_a_day(service: Service, ada: Person) -> None:
    first = await create(ada, "k")
    await age_keys(service, ada, "23 hours")
    assert (await create(ada, "k")).json() == first.json()
    await age_keys(service, ada, "2 hours")
    assert (await create(ada, "k")).json()["id"] != first.json()["id"]


async def test_a_request_that_died_does_not_block_its_key(service: Service, ada: Person) -> None:
    once = Once(ada.id, "POST", "/api/jobs/", "k", b"", 201)
    async with AsyncSession(service.resources.engine) as session:
        assert await take(session, once)
        assert (await create(ada, "k")).json()["code"] == "idempotency_in_progress"
    assert (await create(ada, "k")).status_code == 201


async def test_a_failure_after_the_job_was_made_makes_no_second_job(
    service: Service, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the bell is broken")

    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(type(service.resources.bell), "ring", broken)
        assert (await create(ada, "k")).status_code == 500
    await age_keys(service, ada, "3 minutes")
    again = await create(ada, "k")
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert [job["id"] for job in (await ada.client.get("/api/jobs/")).json()] == [again.json()["id"]]


@pytest.mark.parametrize("call", ["start", "retry", "continue"])
async def test_each_call_is_answered_again(service: Service, ada: Person, call: str) -> None:
    job_id = await ada.job()
    if call != "start":
        await fail_job(service.resources, job_id)
    body, headers = {"requirements": "More."}, {"Idempotency-Key": "k"}
    first, again = [
        await ada.client.post(f"/api/jobs/{job_id}/{call}/", json=body, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert again.headers["idempotent-replayed"] == "true"


async def age_keys(service: Service, person: Person, interval: str) -> None:
    async with service.resources.unit() as unit:
        await unit.session.execute(
            text(
                "update idempotency_keys set created_at = created_at - cast(:by as text)::interval "
                "where user_id = :id"
            ),
            {"by": interval, "id": person.id},
        )


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tkey", "ünïcode"])
async def test_invalid_keys(ada: Person, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    answer = await ada.client.post("/api/jobs/", json={"prompt": "An idea"}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert await count_jobs(ada) == 0


async def test_other_calls_take_no_key(ada: Person) -> None:
    job_id = await ada.job()
    for _ in range(2):
        answer = await ada.client.post(f"/api/jobs/{job_id}/pause/", headers={"Idempotency-Key": "k"})
        assert "idempotent-replayed" not in answer.headers

"""Whom the service believes, what it tells to whom, and what it says when it breaks or has no room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from app.actions.limits import LOGIN
from app.api.throttle import Throttle
from app.settings import Settings
from tests.api.connections import connected
from tests.helpers.parts import Parts
from tests.helpers.service import SECRET, Person, Service, serve

KEY = "a token for the metrics of the tests"


async def wrong_logins(client: httpx.AsyncClient, email: str, number: int) -> list[int]:
    """The answers to wrong logins, each as if from an address of its own."""
    body = {"email": email, "password": "wrong word"}
    found = []
    for at in range(number):
        forwarded = {"X-Forwarded-For": f"203.0.113.{at + 1}"}
        found.append((await client.post("/api/auth/login/", json=body, headers=forwarded)).status_code)
    return found


async def test_a_client_cannot_choose_its_address(service: Service, ada: Person) -> None:
    """From this machine the limit of logins was passed 40 times of 40."""
    found = await wrong_logins(ada.client, ada.email, LOGIN.most + 5)
    assert found == [400] * LOGIN.most + [429] * 5


@pytest.mark.parametrize("proxies", ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8"])
async def test_a_proxy_that_the_operator_names_is_believed(
    parts: Parts, tmp_path: Path, proxies: str
) -> None:
    async with serve(parts, tmp_path, forwarded_allow_ips=proxies) as service:
        ada = await service.person()
        assert set(await wrong_logins(ada.client, ada.email, LOGIN.most + 5)) == {400}
        await ada.client.aclose()


@pytest.mark.parametrize("listed", ["localhost", "10.0.0.1/8", "127.0.0.1,*", "1.2.3"])
def test_what_is_no_address_of_a_proxy_is_refused(listed: str) -> None:
    with pytest.raises(ValidationError, match="must list addresses"):
        Settings(_env_file=None, forwarded_allow_ips=listed)


@pytest.mark.parametrize("token", ["short", "ä" * 20, "a\n" * 20])
def test_a_token_for_metrics_is_hard_to_guess(token: str) -> None:
    with pytest.raises(ValidationError, match="at least 16 characters"):
        Settings(_env_file=None, metrics_token=token)


@asynccontextmanager
async def production(parts: Parts, tmp_path: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve(parts, tmp_path, environment="production", secret_key=SECRET, **settings) as service,
        service.client() as client,
    ):
        yield client


async def details(client: httpx.AsyncClient, **headers: str) -> tuple[int, list[str], str]:
    """The status of `/metrics`, and what `/readyz` tells: the details of its parts, and the model."""
    figures = await client.get("/metrics", headers=headers)
    if figures.status_code != 200:
        assert figures.json()["code"] == "operators_only"
        assert "METRICS_TOKEN" in figures.json()["detail"]
    ready = (await client.get("/readyz", headers=headers)).json()
    assert set(ready["checks"]) == {"database", "redis", "events", "worker", "box"}
    assert ready["checks"]["database"]["ok"]
    return figures.status_code, [each["detail"] for each in ready["checks"].values()], ready["model"]


FORWARDED = [
    {"X-Forwarded-For": "203.0.113.7"},
    {"Forwarded": "for=203.0.113.7"},
    {"X-Real-IP": "127.0.0.1"},
    {"Host": "boardroom.example.net"},  # of a proxy that adds nothing and keeps the name
]


async def test_in_production_details_are_for_operators(parts: Parts, tmp_path: Path) -> None:
    async with production(parts, tmp_path, metrics_token=KEY) as client:
        for asked in ({}, {"X-Forwarded-For": "203.0.113.7", "Authorization": f"Bearer {KEY}"}):
            status, told, model = await details(client, **asked)
            assert (status, "answers" in told, model) == (200, True, "rehearsal")
        wrong = [{"Authorization": f"Bearer {KEY}x"}, {"Authorization": "Bearer"}, {"Authorization": KEY}]
        for asked in [*FORWARDED, *({**FORWARDED[0], **each} for each in wrong)]:
            status, told, model = await details(client, **asked)
            assert (status, set(told), model) == (403, {""}, "")


async def test_without_a_token_nobody_elsewhere_is_an_operator(parts: Parts, tmp_path: Path) -> None:
    async with production(parts, tmp_path, forwarded_allow_ips="127.0.0.1") as client:
        assert (await details(client))[0] == 200
        for asked in [*FORWARDED, {"X-Forwarded-For": "127.0.0.1"}]:
            for credential in ("Bearer x", "Bearer", ""):
                assert (await details(client, **asked, Authorization=credential))[0] == 403


async def test_after_a_fault_the_connection_is_closed_saying_so(
    service: Service, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(self: Throttle, user_id: object) -> None:
        raise RuntimeError("a bug of ours")

    with monkeypatch.context() as broken:
        broken.setattr(Throttle, "take", burst)
        async with connected(service) as (reader, writer):
            access = ada.session["access"]
            writer.write(
                f"GET /api/jobs/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {access}\r\n\r\n".encode()
            )
            answer = await reader.read()  # until it is closed
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    for _ in range(3):  # a client with a pool notices nothing
        assert (await ada.client.get("/api/jobs/")).status_code == 200


FULL = """
create function no_room() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger full_disk before insert or update on jobs for each statement execute function no_room();
"""


async def test_a_full_disk_under_postgresql(parts: Parts, tmp_path: Path) -> None:
    """What has to be stored is 503 with the time to wait; what is only read is answered."""
    async with serve(parts, tmp_path) as service:
        ada = await service.person()
        job_id = await ada.job()
        async with service.resources.unit() as unit:
            driver = (await (await unit.session.connection()).get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute(FULL)
        for method, path in (("POST", "/api/jobs/"), ("PATCH", f"/api/jobs/{job_id}/")):
            answer = await ada.client.request(method, path, json={"prompt": "x", "initial_prompt": "x"})
            assert (answer.status_code, answer.json()["code"]) == (503, "database_full")
            assert answer.headers["retry-after"] == "30"
            assert "disk is full" in answer.json()["detail"]
        assert len((await ada.client.get("/api/jobs/")).json()) == 1
        async with service.resources.unit() as unit:
            await unit.session.execute(text("drop trigger full_disk on jobs"))
        await ada.job()
        await ada.client.aclose()

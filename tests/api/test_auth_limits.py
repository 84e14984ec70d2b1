"""What an operator limits: attempts to log in, who may register, how long a rotated token is good."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.actions import accounts
from app.actions.limits import LOGIN, REGISTER
from app.domain.errors import Invalid
from tests.api.sessions import new_person, register, renew
from tests.helpers.parts import Parts
from tests.helpers.service import PASSWORD, Person, Service, serve


async def test_only_wrong_logins_count(service: Service, ada: Person) -> None:
    right, wrong = {"email": ada.email, "password": PASSWORD}, {"email": ada.email, "password": "wrong word"}
    for _ in range(LOGIN.most + 2):
        assert (await ada.client.post("/api/auth/login/", json=right)).status_code == 200
    for _ in range(LOGIN.most):
        assert (await ada.client.post("/api/auth/login/", json=wrong)).status_code == 400
    for body in (wrong, right):
        answer = await ada.client.post("/api/auth/login/", json=body)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= LOGIN.window.total_seconds()
    assert (await renew(ada.client, ada.session["refresh"])).status_code == 200
    async with service.resources.unit() as unit:
        await unit.session.execute(text("update attempts set window_ends = clock_timestamp()"))
    assert (await ada.client.post("/api/auth/login/", json=right)).status_code == 200


@asynccontextmanager
async def strict(parts: Parts, tmp_path: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(parts, tmp_path, **settings) as service, service.client() as client:
        yield client


async def test_register_is_limited(parts: Parts, tmp_path: Path) -> None:
    async with serve(parts, tmp_path) as service, service.client() as client:
        assert (await client.post("/api/auth/register/", json=new_person())).status_code == 201
        async with service.resources.unit() as unit:
            await unit.session.execute(text("update attempts set count = :most - 1"), {"most": REGISTER.most})
        answers = [await client.post("/api/auth/register/", json=new_person()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 429, 429]


async def test_only_the_first_may_register(parts: Parts, tmp_path: Path) -> None:
    async with strict(parts, tmp_path, registration="first") as client:
        answers = await asyncio.gather(
            *(client.post("/api/auth/register/", json=new_person()) for _ in range(4))
        )
    assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403]
    assert {a.json()["code"] for a in answers if a.is_error} == {"registration_closed"}


async def test_closed_registration(parts: Parts, tmp_path: Path) -> None:
    async with strict(parts, tmp_path, registration="closed") as client:
        answer = await client.post("/api/auth/register/", json=new_person())
    assert answer.status_code == 403
    assert "REGISTRATION" in answer.json()["detail"]


async def test_reuse_may_be_switched_off(parts: Parts, tmp_path: Path) -> None:
    async with strict(parts, tmp_path, refresh_reuse_seconds=0) as client:
        first = await register(client)
        second = (await renew(client, first["refresh"])).json()
        await renew(client, second["refresh"])
        assert (await renew(client, first["refresh"])).status_code == 401


def test_limits_leave_room() -> None:
    assert REGISTER.most / REGISTER.window.total_seconds() >= 1
    assert LOGIN.window <= timedelta(minutes=15)


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"email": "ada lovelace@example.org", "password": "x" * 8}, "email: must be an email address."),
        ({"email": "ada@example.org", "password": "short"}, "password: must have at least 8 characters."),
    ],
)
async def test_a_mistake_of_an_operator_is_explained_in_a_sentence(
    service: Service, account: dict[str, str], words: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        await accounts.add_user(service.resources, **account)
    assert refusal.value.detail == words

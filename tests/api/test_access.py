"""Access to every route of the OpenAPI document: by the owner, by another user, without a token, with bad
tokens.

A route without a row in the table here fails the test.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from jose import jwt

from app.auth.tokens import Tokens
from tests.helpers.routes import NOT_BUILT, OPEN, ROWS, Things, routes, things_of
from tests.helpers.service import SECRET, Person, Service


def test_every_route_has_a_row() -> None:
    assert sorted(routes()) == sorted([*OPEN, *ROWS])


@pytest.mark.parametrize("route", ROWS)
async def test_owner_other_user_and_no_user(
    service: Service, ada: Person, mallory: Person, route: str
) -> None:
    row = ROWS[route]
    things = await things_of(service, ada, row.state)
    nobody = await things_send(service, things, route, None)
    assert nobody.status_code == 401
    stranger = await mallory.client.send(things.request(mallory.client, route))
    assert stranger.status_code == row.stranger, stranger.text
    if row.stranger == 404:
        absent = Things(dict.fromkeys(things.ids, str(uuid4())))
        no_id = Things(dict.fromkeys(things.ids, "none"))
        for other in (absent, no_id):
            answer = await mallory.client.send(other.request(mallory.client, route))
            assert without_id(answer) == without_id(stranger)
    owner = await ada.client.send(things.request(ada.client, route))
    assert owner.status_code == row.owner, owner.text
    if row.owner == NOT_BUILT:
        assert owner.json()["code"] == "container_not_found"


def without_id(answer: httpx.Response) -> dict[str, Any]:
    return {**answer.json(), "request_id": ""}


async def things_send(service: Service, things: Things, route: str, token: str | None) -> httpx.Response:
    async with service.client() as client:
        request = things.request(client, route)
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        return await client.send(request)


def tokens_of(person: Person) -> dict[str, str]:
    """Invalid access tokens, made from a valid one."""
    access = person.session["access"]
    claims = jwt.get_unverified_claims(access)
    past = int((datetime.now(UTC) - timedelta(hours=2)).timestamp())
    head, payload, signature = access.split(".")

    def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
        return jwt.encode({**claims, **changes}, secret, algorithm=algorithm)

    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    without = {key: value for key, value in claims.items() if key != "exp"}
    return {
        "expired": signed(exp=past),
        "the refresh token": person.session["refresh"],
        "another secret": signed(secret="x" * 40),
        "another algorithm": signed(algorithm="HS512"),
        "no algorithm": f"{unsigned}.{payload}.",
        "no signature": f"{head}.{payload}.",
        "another audience": signed(aud="somebody"),
        "another issuer": signed(iss="somebody"),
        "another type": signed(type="admin"),
        "another user": signed(sub=str(uuid4())),
        "another session": signed(sid=str(uuid4())),
        "no user": signed(sub="x"),
        "no end": jwt.encode(without, SECRET, algorithm="HS256"),
        "an edited payload": f"{head}.{payload[:-2]}AA.{signature}",
        "nonsense": "nonsense",
    }


async def test_invalid_tokens(service: Service, ada: Person) -> None:
    async with service.client() as client:
        for name, token in tokens_of(ada).items():
            answer = await client.get("/api/auth/me/", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401, name
            wanted = "token_expired" if name == "expired" else None
            assert wanted in (None, answer.json()["code"]), name
        for header in ("", "Bearer", "Basic QTpC", ada.session["access"]):
            answer = await client.get("/api/auth/me/", headers={"Authorization": header})
            assert answer.json()["code"] == "not_authenticated", header


IDS = ("job_id", "app_id", "ticket_id", "message_id", "copy_id", "evidence_id")


@pytest.mark.parametrize("route", ROWS)
async def test_an_expired_token(service: Service, ada: Person, route: str) -> None:
    claims = jwt.get_unverified_claims(ada.session["access"])
    past = Tokens(SECRET, access_s=-10)
    token = past.access(UUID(claims["sub"]), UUID(claims["sid"]))
    things = Things(dict.fromkeys(IDS, str(uuid4())))
    answer = await things_send(service, things, route, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")

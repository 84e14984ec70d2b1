"""Register, log in, renew a session, log out."""

import asyncio
import base64
import json
import re
from typing import Any
from uuid import UUID

import httpx
import pytest
from jose import jwt
from sqlalchemy import text

from app.actions import accounts
from app.auth.passwords import verify_password
from app.domain.errors import Unauthorized
from tests.api.sessions import me, new_person, register, renew
from tests.helpers.service import PASSWORD, Person, Service


async def age_rotations(service: Service, session: dict[str, Any], seconds: int) -> None:
    """Change the session as if its tokens had been renewed longer ago."""
    async with service.resources.unit() as unit:
        await unit.session.execute(
            text(
                "update refresh_tokens set rotated_at = rotated_at - make_interval(secs => :s) "
                "where family_id in (select id from refresh_families where user_id = :user)"
            ),
            {"s": seconds, "user": UUID(session["user"]["id"])},
        )


async def test_register_logs_in(anybody: httpx.AsyncClient) -> None:
    session = await register(anybody, name="Ada")
    assert session["expires_in"] == 3600
    answer = await me(anybody, session["access"])
    assert answer.json() == session["user"]
    assert answer.json()["name"] == "Ada"
    assert answer.headers["cache-control"] == "no-store"


async def test_emails_are_compared_without_case(anybody: httpx.AsyncClient) -> None:
    person = new_person()
    first = await anybody.post("/api/auth/register/", json=person)
    again = await anybody.post("/api/auth/register/", json={**person, "email": person["email"].upper()})
    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["code"] == "email_taken"
    login = await anybody.post("/api/auth/login/", json={**person, "email": f" {person['email'].title()} "})
    assert login.status_code == 200
    assert login.json()["user"] == first.json()["user"]


async def test_many_register_one_email_at_once(anybody: httpx.AsyncClient) -> None:
    person = new_person()
    answers = await asyncio.gather(*(anybody.post("/api/auth/register/", json=person) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a b@c"}, "email"),
        ({"email": "x" * 250 + "@example.org"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "nul\0nul\0nul"}, "password"),
        ({"name": "\0"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"email": "same@example.org", "password": "SAME@example.org"}, "password"),
        ({"email": None}, "email"),
    ],
)
async def test_errors_of_register(anybody: httpx.AsyncClient, change: dict[str, Any], field: str) -> None:
    answer = await anybody.post("/api/auth/register/", json={**new_person(), **change})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert PASSWORD not in answer.text


async def test_a_refusal_is_a_sentence(anybody: httpx.AsyncClient) -> None:
    for change, detail in (
        ({"password": "short"}, "password: must have at least 8 characters."),
        ({"password": "x" * 129}, "password: must have at most 128 characters."),
        ({"email": "x" * 250 + "@example.org"}, "email: must have at most 254 characters."),
        ({"name": "\0"}, "name: must not contain NUL or lone surrogates."),
    ):
        answer = await anybody.post("/api/auth/register/", json={**new_person(), **change})
        assert answer.json()["detail"] == detail
    for content, detail in (
        (b"", "The body is required."),
        (b"[]", "The body must be a valid dictionary or object to extract fields from."),
        (b'{"refresh": 7}', "refresh: must be a valid string."),
        (b"{}", "refresh: is required."),
    ):
        answer = await anybody.post(
            "/api/auth/logout/", content=content, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["detail"]) == (422, detail)


async def test_wrong_credentials_are_400_and_tell_nothing(service: Service, ada: Person) -> None:
    async with service.client() as client:
        wrong = await client.post("/api/auth/login/", json={"email": ada.email, "password": "wrong password"})
        unknown = await client.post("/api/auth/login/", json=new_person())
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json()["code"] == "invalid_credentials"
    same = [{**answer.json(), "request_id": ""} for answer in (wrong, unknown)]
    assert same[0] == same[1]


async def test_calls_without_a_user_ignore_authorization(anybody: httpx.AsyncClient) -> None:
    anybody.headers["Authorization"] = "Bearer nonsense"
    session = await register(anybody)
    assert (await renew(anybody, session["refresh"])).status_code == 200
    answer = await anybody.post("/api/auth/logout/", json={"refresh": session["refresh"]})
    assert answer.status_code == 204


async def test_claims_of_an_access_token(anybody: httpx.AsyncClient) -> None:
    session = await register(anybody)
    _, payload, _ = session["access"].split(".")
    claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_"))
    assert set(claims) == {"sub", "sid", "exp", "iat", "jti", "iss", "aud", "type"}
    assert isinstance(claims["exp"], int)
    assert claims["exp"] - claims["iat"] == 3600
    assert all(re.fullmatch(r"[A-Za-z0-9._:/-]+", str(value)) for value in claims.values())


async def test_the_cookie(anybody: httpx.AsyncClient) -> None:
    answer = await anybody.post("/api/auth/register/", json=new_person())
    access = answer.json()["access"]
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"boardroom_access={access.lower()};")
    for part in ("httponly", "samesite=strict", "path=/ws/", "max-age=3600"):
        assert part in cookie
    assert "secure" not in cookie
    # REST never reads it
    asked = await anybody.get("/api/auth/me/", headers={"Cookie": f"boardroom_access={access}"})
    assert asked.status_code == 401
    gone = await anybody.post("/api/auth/logout/", json={"refresh": answer.json()["refresh"]})
    assert 'boardroom_access=""' in gone.headers["set-cookie"]
    assert "path=/ws/" in gone.headers["set-cookie"].lower()


async def test_refresh_rotates(anybody: httpx.AsyncClient) -> None:
    first = await register(anybody)
    second = (await renew(anybody, first["refresh"])).json()
    third = (await renew(anybody, second["refresh"])).json()
    assert len({session["refresh"] for session in (first, second, third)}) == 3
    assert (await me(anybody, third["access"])).status_code == 200


async def test_tokens_that_are_too_old_to_be_used_are_forgotten(
    service: Service, anybody: httpx.AsyncClient
) -> None:
    session = await register(anybody)
    newest = session["refresh"]
    for _ in range(3):
        newest = (await renew(anybody, newest)).json()["refresh"]
    of_family = "from refresh_tokens where family_id = :family"
    family = {"family": jwt.get_unverified_claims(newest)["sid"]}
    async with service.resources.unit() as unit:
        older = "update refresh_tokens set expires_at = expires_at - interval '15 days'"
        where = "where family_id = :family and rotated_at is not null"
        await unit.session.execute(text(f"{older} {where}"), family)
    renewed = await renew(anybody, newest)
    assert renewed.status_code == 200
    async with service.resources.look() as database:
        rows = await database.scalar(text(f"select count(*) {of_family}"), family)
    assert rows == 2, "the one that was just used, and the newest"
    assert (await renew(anybody, newest)).json()["refresh"] == renewed.json()["refresh"]


async def test_a_rotated_token_gives_the_newest_again(anybody: httpx.AsyncClient) -> None:
    first = await register(anybody)
    second = (await renew(anybody, first["refresh"])).json()
    third = (await renew(anybody, second["refresh"])).json()
    for old in (first, second, first):
        again = (await renew(anybody, old["refresh"])).json()
        assert again["refresh"] == third["refresh"]
        assert (await me(anybody, again["access"])).status_code == 200


async def test_fifty_at_once_agree(anybody: httpx.AsyncClient) -> None:
    first = await register(anybody)
    answers = await asyncio.gather(*(renew(anybody, first["refresh"]) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh"] for answer in answers}) == 1


async def test_after_the_window_only_while_the_own_successor_is_unused(
    service: Service, anybody: httpx.AsyncClient
) -> None:
    first = await register(anybody)
    second = (await renew(anybody, first["refresh"])).json()
    await age_rotations(service, first, 301)
    late = await renew(anybody, first["refresh"])
    assert late.json()["refresh"] == second["refresh"]
    third = (await renew(anybody, second["refresh"])).json()
    # The first token's window has passed and the token that replaced it was used: it may have been stolen.
    stolen = await renew(anybody, first["refresh"])
    assert stolen.status_code == 401
    assert stolen.json()["code"] == "session_over"
    assert (await renew(anybody, third["refresh"])).status_code == 401
    assert (await me(anybody, third["access"])).status_code == 401


async def test_errors_of_refresh(anybody: httpx.AsyncClient) -> None:
    session = await register(anybody)
    for nonsense in ("", "x", session["access"], session["refresh"] + "x", "a.b.c", "ä.ö.ü", "x" * 5000):
        answer = await renew(anybody, nonsense)
        assert answer.status_code == 401, nonsense
    assert (await renew(anybody, session["refresh"])).status_code == 200


async def test_logout_ends_the_session_and_is_always_204(anybody: httpx.AsyncClient) -> None:
    first = await register(anybody)
    second = (await renew(anybody, first["refresh"])).json()
    for refresh in (first["refresh"], second["refresh"], first["refresh"], "nonsense", first["access"]):
        answer = await anybody.post("/api/auth/logout/", json={"refresh": refresh})
        assert answer.status_code == 204
    assert (await renew(anybody, second["refresh"])).status_code == 401
    assert (await me(anybody, second["access"])).json()["code"] == "session_over"


async def test_the_token_of_a_deleted_user_is_refused(service: Service, ada: Person) -> None:
    async with service.resources.unit() as unit:
        await unit.session.execute(text("delete from users where id = :id"), {"id": ada.id})
    assert (await ada.client.get("/api/jobs/")).status_code == 401
    assert (await renew(ada.client, ada.session["refresh"])).status_code == 401


async def test_a_ticket_is_good_once(service: Service, ada: Person, mallory: Person) -> None:
    answer = await ada.client.post("/api/auth/ws-ticket/")
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    assert answer.json()["expires_in"] == 30
    user_id, _ = await accounts.redeem_ws_ticket(service.resources, ticket)
    assert user_id == ada.id
    for spent in (ticket, "nonsense"):
        with pytest.raises(Unauthorized):
            await accounts.redeem_ws_ticket(service.resources, spent)


async def test_an_expired_ticket_is_refused(service: Service, ada: Person) -> None:
    ticket = (await ada.client.post("/api/auth/ws-ticket/")).json()["ticket"]
    async with service.resources.unit() as unit:
        await unit.session.execute(text("update ws_tickets set expires_at = clock_timestamp()"))
    with pytest.raises(Unauthorized):
        await accounts.redeem_ws_ticket(service.resources, ticket)


async def test_a_new_password_ends_every_session(service: Service, ada: Person) -> None:
    await accounts.change_password(service.resources, email=ada.email.upper(), password="another password")
    assert (await ada.client.get("/api/auth/me/")).status_code == 401
    for password, status in ((PASSWORD, 400), ("another password", 200)):
        answer = await ada.client.post("/api/auth/login/", json={"email": ada.email, "password": password})
        assert answer.status_code == status


async def test_a_login_under_way_ends_with_the_old_password(
    service: Service, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def verify(password: str, stored: str | None) -> bool:
        right = await verify_password(password, stored)
        await accounts.change_password(service.resources, email=ada.email, password="another password")
        return right

    monkeypatch.setattr(accounts, "verify_password", verify)
    answer = await ada.client.post("/api/auth/login/", json={"email": ada.email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_credentials")

"""Access to every route of the OpenAPI document: by the owner, by another user, without a token, with bad
tokens.

A route without a row in the table here fails the test.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from jose import jwt

from app.auth.tokens import Tokens
from app.main import create_app
from app.settings import Settings
from tests.api.conftest import SECRET, Person, Service
from tests.api.rows import add_app, add_ticket, fail_job

OPEN = {
    "POST /api/auth/register/",
    "POST /api/auth/login/",
    "POST /api/auth/token/refresh/",
    "POST /api/auth/logout/",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}
"""Routes that need no user."""


@dataclass(frozen=True)
class Row:
    """A request, the status that the owner gets, and the status that another user gets."""

    owner: int
    stranger: int
    url: str = ""
    body: dict[str, Any] | None = None
    state: str = "collecting"


NOT_BUILT = 404
ROWS: dict[str, Row] = {
    "GET /api/auth/me/": Row(200, 200),
    "POST /api/auth/ws-ticket/": Row(201, 201),
    "POST /api/jobs/": Row(201, 201, body={"prompt": "An idea"}),
    "GET /api/jobs/": Row(200, 200),
    "DELETE /api/jobs/purge/": Row(200, 200),
    "GET /api/jobs/{job_id}/": Row(200, 404),
    "PATCH /api/jobs/{job_id}/": Row(200, 404, body={"initial_prompt": "Mine"}),
    "DELETE /api/jobs/{job_id}/": Row(204, 404),
    "GET /api/jobs/{job_id}/events/": Row(200, 404),
    "GET /api/jobs/{job_id}/evidence/": Row(200, 404),
    "GET /api/jobs/{job_id}/trace/": Row(200, 404),
    "POST /api/jobs/{job_id}/start/": Row(202, 404),
    "POST /api/jobs/{job_id}/continue/": Row(202, 404, body={"requirements": "More"}, state="failed"),
    "POST /api/jobs/{job_id}/retry/": Row(202, 404, state="failed"),
    "POST /api/jobs/{job_id}/pause/": Row(200, 404),
    "POST /api/jobs/{job_id}/resume/": Row(200, 404),
    "POST /api/jobs/{job_id}/cancel/": Row(202, 404),
    "GET /api/jobs/{job_id}/usage/": Row(200, 404),
    "POST /api/jobs/{job_id}/budget/": Row(200, 404, body={"token_budget": 7_000_000}),
    "GET /api/job-messages/": Row(200, 404, url="/api/job-messages/?job_id={job_id}"),
    "POST /api/job-messages/": Row(
        201, 404, body={"job_id": "{job_id}", "role": "system", "content": "A note"}
    ),
    "GET /api/job-messages/{id}/": Row(200, 404, url="/api/job-messages/{message_id}/"),
    "DELETE /api/job-messages/{id}/": Row(204, 404, url="/api/job-messages/{message_id}/"),
    "GET /api/apps/": Row(200, 200),
    "GET /api/apps/by-job/{job_id}/": Row(200, 404),
    "GET /api/apps/{id}/": Row(200, 404, url="/api/apps/{app_id}/"),
    "GET /api/tickets/": Row(200, 404, url="/api/tickets/?job_id={job_id}"),
    "GET /api/tickets/{id}/": Row(200, 404, url="/api/tickets/{ticket_id}/"),
    "POST /api/tickets/": Row(
        201, 404, body={"job_id": "{job_id}", "type": "task", "title": "A ticket"}, state="failed"
    ),
    "PATCH /api/tickets/{id}/": Row(
        200, 404, url="/api/tickets/{ticket_id}/", body={"title": "Mine"}, state="failed"
    ),
    "DELETE /api/tickets/{id}/": Row(204, 404, url="/api/tickets/{ticket_id}/", state="failed"),
    "POST /api/jobs/{job_id}/containers/start": Row(NOT_BUILT, 404),
    "POST /api/jobs/{job_id}/containers/stop": Row(NOT_BUILT, 404),
    "GET /api/jobs/{job_id}/containers/status": Row(200, 404),
    "POST /api/jobs/{job_id}/preview/": Row(NOT_BUILT, 404),
    "GET /api/jobs/{job_id}/files/structure/": Row(NOT_BUILT, 404),
    "GET /api/jobs/{job_id}/files/content/": Row(
        NOT_BUILT, 404, url="/api/jobs/{job_id}/files/content/?path=README.md"
    ),
    "POST /api/jobs/{job_id}/files/save": Row(NOT_BUILT, 404, body={"path": "a.txt", "content": ""}),
    "GET /api/jobs/{job_id}/files/archive/": Row(NOT_BUILT, 404),
}


def routes() -> list[str]:
    document = create_app(Settings(_env_file=None)).openapi()  # type: ignore[call-arg]
    return [
        f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations
    ]


@dataclass(frozen=True)
class Things:
    """The ids of what one user has."""

    ids: dict[str, str]

    def request(self, client: httpx.AsyncClient, route: str) -> httpx.Request:
        row = ROWS[route]
        method, path = route.split(" ")
        body = row.body and {key: str(value).format(**self.ids) for key, value in row.body.items()}
        return client.build_request(method, (row.url or path).format(**self.ids), json=body)


async def things_of(service: Service, person: Person, state: str = "collecting") -> Things:
    job_id = await person.job()
    app_id = await add_app(service.resources, job_id)
    ticket_id = await add_ticket(service.resources, job_id, 1)
    detail = (await person.client.get(f"/api/jobs/{job_id}/")).json()
    if state == "failed":
        await fail_job(service.resources, job_id)
    message_id = detail["messages"][0]["id"]
    return Things({"job_id": job_id, "app_id": app_id, "ticket_id": ticket_id, "message_id": message_id})


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


@pytest.mark.parametrize("route", ROWS)
async def test_an_expired_token(service: Service, ada: Person, route: str) -> None:
    claims = jwt.get_unverified_claims(ada.session["access"])
    past = Tokens(SECRET, access_s=-10)
    token = past.access(UUID(claims["sub"]), UUID(claims["sid"]))
    things = Things(dict.fromkeys(("job_id", "app_id", "ticket_id", "message_id"), str(uuid4())))
    answer = await things_send(service, things, route, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")

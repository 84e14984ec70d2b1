"""Every route, with a request of it that the owner may make and a stranger may not."""

from dataclasses import dataclass
from typing import Any

import httpx

from app.main import create_app
from app.settings import Settings
from tests.helpers.rows import add_app, add_data_copy, add_evidence, add_ticket, fail_job
from tests.helpers.service import Person, Service

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
    "GET /api/jobs/{job_id}/evidence/{evidence_id}/screenshot/": Row(200, 404),
    "GET /api/jobs/{job_id}/trace/": Row(200, 404),
    "POST /api/jobs/{job_id}/start/": Row(202, 404),
    "POST /api/jobs/{job_id}/continue/": Row(202, 404, body={"requirements": "More"}, state="failed"),
    "POST /api/jobs/{job_id}/retry/": Row(202, 404, state="failed"),
    "POST /api/jobs/{job_id}/pause/": Row(200, 404),
    "POST /api/jobs/{job_id}/resume/": Row(200, 404),
    "POST /api/jobs/{job_id}/cancel/": Row(202, 404),
    "GET /api/jobs/{job_id}/usage/": Row(200, 404),
    "POST /api/jobs/{job_id}/budget/": Row(200, 404, body={"token_budget": 4_000_000}),
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
    "GET /api/jobs/{job_id}/data/": Row(200, 404),
    "POST /api/jobs/{job_id}/data/": Row(NOT_BUILT, 404),
    "GET /api/jobs/{job_id}/data/{copy_id}/": Row(200, 404),
    "POST /api/jobs/{job_id}/data/{copy_id}/restore/": Row(NOT_BUILT, 404),
}


def routes() -> list[str]:
    document = create_app(Settings(_env_file=None)).openapi()
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
    evidence_id = await add_evidence(service.resources, job_id, ticket_id, True, picture=b"\xff\xd8\xff")
    detail = (await person.client.get(f"/api/jobs/{job_id}/")).json()
    if state == "failed":
        await fail_job(service.resources, job_id)
    message_id = detail["messages"][0]["id"]
    copy_id = await add_data_copy(service.resources, job_id)
    return Things(
        {
            "job_id": job_id,
            "app_id": app_id,
            "ticket_id": ticket_id,
            "message_id": message_id,
            "copy_id": copy_id,
            "evidence_id": evidence_id,
        }
    )

"""Every error is answered as RFC 9457 `application/problem+json`, with a stable code and a sentence for
people."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from app.api.envelope import request_id
from app.api.shapes import Shape, example
from app.domain.errors import NOT_FOUND, BadRequest, FieldError, Forbidden, Invalid, Refusal, field_message

MEDIA_TYPE = "application/problem+json"

CODES = {
    "bad_json": (400, "The body is not JSON in UTF-8."),
    "invalid_credentials": (400, "Email or password is wrong."),
    "not_authenticated": (401, "No `Authorization: Bearer` header."),
    "token_invalid": (401, "The token was not issued here, or is of the wrong kind."),
    "token_expired": (401, "The token has expired. Renew it or log in again."),
    "session_over": (
        401,
        "The session was ended by a logout, by a reused refresh token, or because the user was deleted.",
    ),
    "registration_closed": (403, "The setting `REGISTRATION` does not allow another registration."),
    "purge_off": (403, "`ALLOW_JOB_PURGE` is off."),
    "foreign_origin": (403, "The request came from a page of an app, or from one without an origin."),
    "operators_only": (403, "Only for this machine itself, or with `METRICS_TOKEN`."),
    "over_limit": (403, "It is more than the operator allows; the sentence says how much that is."),
    "outside_workspace": (403, "The path leads outside `/app`."),
    "not_found": (404, "There is no such thing, or it belongs to another user."),
    "not_allowed": (403, "This is not allowed in the workspace."),
    "container_not_found": (404, "Nothing has been built yet, so there is no container."),
    "file_not_found": (404, "There is no such path in the container."),
    "method_not_allowed": (405, "This address does not take this method."),
    "conflict": (409, "The present state of the job does not allow this."),
    "email_taken": (409, "There is a user with this email."),
    "already_started": (409, "The job has been started: requirements are no longer collected."),
    "job_running": (409, "A run is active."),
    "continuation_in_progress": (409, "Another continuation is active."),
    "job_finished": (409, "The job is in `build_done` or `failed`."),
    "not_failed": (409, "Only a failed job can be retried."),
    "job_full": (409, "The job has as many messages or tickets of the client as it may have."),
    "container_stopped": (409, "The client stopped the container; start it first."),
    "no_app": (409, "There is no app yet that can be started."),
    "not_a_file": (409, "The path is no regular file."),
    "not_a_folder": (409, "The path is no folder."),
    "workspace_full": (409, "The container's disk is full."),
    "idempotency_in_progress": (409, "The first request with this `Idempotency-Key` is still running."),
    "stale_etag": (412, "The file has changed since the `etag` was given."),
    "too_large": (413, "A size limit was passed. No request may be over 4 MiB."),
    "not_text": (415, "The file is not UTF-8 text."),
    "invalid": (422, "The body, the query or a header is not valid; see `errors`."),
    "bad_path": (422, "The path holds control characters or is too long."),
    "idempotency_mismatch": (422, "This `Idempotency-Key` was used with another body."),
    "too_many_attempts": (429, "Too many attempts to log in or register."),
    "too_many_requests": (429, "Too many requests of this user."),
    "internal": (500, "A fault of the service. Its log has the cause under this `request_id`."),
    "unavailable": (503, "A part that the service needs is down."),
    "database_down": (503, "PostgreSQL does not answer."),
    "going_live": (503, "A new version of the app is just being put in place."),
    "database_full": (503, "The disk of PostgreSQL is full."),
    "engine_down": (503, "No container can be reached or made."),
    "containers_busy": (503, "All containers that may be awake at the same time are in use."),
}
"""Each code with its status and its meaning; `/docs` shows this list. Codes are never renamed."""

_FRAMEWORK_DETAILS = {
    400: "The body is not JSON in UTF-8.",
    404: NOT_FOUND,
    405: "This address does not take that method.",
    413: "The request is over 4 MiB.",
}
_FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "bad_json"}


class FieldProblem(Shape):
    field: str
    message: str


class Problem(Shape):
    """RFC 9457. `detail` is one sentence for people, `code` is for programs; `errors` for bad input."""

    model_config = example(
        type="about:blank",
        title="Not Found",
        status=404,
        detail="There is nothing here under that address.",
        code="not_found",
        request_id="6f1d0c9a5b7e4c1f9d3a2b8e7c6f5d4a",
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = Field(default_factory=list)


def problem(
    status: int,
    detail: str,
    code: str,
    request: Request,
    *,
    errors: Sequence[FieldError] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer for one error."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id(request.scope),
        errors=[FieldProblem(field=error.field, message=error.message) for error in errors],
    )
    return Response(body.model_dump_json(exclude_defaults=True), status, headers, MEDIA_TYPE)


def refused(request: Request, error: Refusal) -> Response:
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return problem(error.status, error.detail, error.code, request, errors=error.errors, headers=headers)


def as_refusal(error: RequestValidationError) -> Refusal:
    """What is wrong with a request, field by field. What was sent is left out: it may be a password."""
    if any(item["type"] == "json_invalid" for item in error.errors()) or isinstance(error.body, bytes):
        return BadRequest("The body must be JSON (Content-Type: application/json).", code="bad_json")
    fields = [_field(item) for item in error.errors()]
    where = f"{fields[0].field}: " if fields[0].field else "The body "
    return Invalid(f"{where}{fields[0].message}.", errors=fields)


def _field(item: dict[str, Any]) -> FieldError:
    return FieldError(".".join(str(part) for part in item["loc"][1:]), field_message(item))


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refused(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refused(request, as_refusal(error))


async def _on_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown route or method, a body that is too long, broken JSON."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    detail = _FRAMEWORK_DETAILS.get(status, str(error.detail))
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return problem(status, detail, _FRAMEWORK_CODES.get(status, "conflict"), request, headers=headers)


def _methods_at(request: Request) -> set[str]:
    """The methods of all routes with this path. The framework would name those of the first route only."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is Match.PARTIAL:
            found |= route.methods
    return found


async def _on_fault(request: Request, error: Exception) -> Response:
    """The server closes the connection after it, and says so here: a client must not use it again."""
    detail = "Something went wrong on our side and has been logged. Try again."
    return problem(500, detail, "internal", request, headers={"Connection": "close"})


async def refuse_foreign_origin(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request of a page that may change nothing here."""
    detail = "A page of an app, or one without an origin of its own, may not change anything here."
    answer = refused(Request(scope), Forbidden(detail, code="foreign_origin"))
    await answer(scope, receive, send)


def handle_errors(app: FastAPI) -> None:
    """Answer every error of `app` as a problem."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)

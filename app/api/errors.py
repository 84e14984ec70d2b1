"""Every error as RFC 9457 `application/problem+json`, with a stable code and one human sentence."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.api.envelope import request_id
from app.domain.errors import NOT_FOUND, BadRequest, FieldError, Invalid, Refusal, field_message

MEDIA_TYPE = "application/problem+json"

CODES = {
    "bad_json": (400, "The body is not JSON in UTF-8."),
    "invalid_credentials": (400, "Email or password is wrong."),
    "not_authenticated": (401, "No `Authorization: Bearer` header."),
    "token_invalid": (401, "The token is not one of ours, or of the wrong kind."),
    "token_expired": (401, "The token has expired: renew it or log in again."),
    "session_over": (401, "The session was ended: logout, a stolen refresh token, a deleted user."),
    "registration_closed": (403, "`REGISTRATION` does not let anybody (else) register."),
    "purge_off": (403, "`ALLOW_JOB_PURGE` is off."),
    "outside_workspace": (403, "The path leads outside `/app`."),
    "not_found": (404, "Absent, or somebody else's."),
    "not_allowed": (403, "The workspace does not allow this."),
    "container_not_found": (404, "Nothing has been built yet, so there is no container."),
    "file_not_found": (404, "There is no such path in the container."),
    "method_not_allowed": (405, "This address does not take this method."),
    "conflict": (409, "The state forbids it."),
    "email_taken": (409, "There is a user with this email."),
    "already_started": (409, "Requirements are no longer being collected."),
    "job_running": (409, "A run is under way."),
    "continuation_in_progress": (409, "Another continuation is under way."),
    "job_finished": (409, "The job is in `build_done` or `failed`."),
    "not_failed": (409, "Only a failed job can be retried."),
    "job_full": (409, "The client added as many messages or tickets as a job takes."),
    "container_stopped": (409, "The client stopped the container; start it first."),
    "no_app": (409, "There is no app yet that could be started."),
    "not_a_file": (409, "The path is no regular file."),
    "not_a_folder": (409, "The path is no folder."),
    "workspace_full": (409, "The container's disk is full."),
    "idempotency_in_progress": (409, "The first request with this `Idempotency-Key` is still running."),
    "stale_etag": (412, "The file has changed since the `etag` was given."),
    "too_large": (413, "Over a size limit; any request: 4 MiB."),
    "not_text": (415, "The file is not UTF-8 text."),
    "invalid": (422, "Something in body, query or header is not valid; see `errors`."),
    "bad_path": (422, "The path holds control characters or is too long."),
    "idempotency_mismatch": (422, "This `Idempotency-Key` was used with another body."),
    "too_many_attempts": (429, "Login or registration was tried too often."),
    "too_many_requests": (429, "This user asks too often."),
    "internal": (500, "Our fault; the log has it under the `request_id`."),
    "unavailable": (503, "A backing part is down."),
    "database_down": (503, "PostgreSQL does not answer."),
    "engine_down": (503, "No container can be reached or made."),
    "containers_busy": (503, "As many containers as may be awake are at work."),
}
"""Each code with its status and its meaning: the list in `/docs`. Codes are never renamed."""

_UNHEARD = {
    400: "The body is not JSON in UTF-8.",
    404: NOT_FOUND,
    405: "This address does not take that method.",
    413: "The request is over 4 MiB.",
}
_CODE_OF = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "bad_json"}


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
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id(request.scope),
    }
    if errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return Response(orjson.dumps(body), status, headers, MEDIA_TYPE)


def refused(request: Request, error: Refusal) -> Response:
    headers = {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return problem(error.status, error.detail, error.code, request, errors=error.errors, headers=headers)


def as_refusal(error: RequestValidationError) -> Refusal:
    """What is wrong with a request, field by field; never what was sent, which may be a password."""
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
    """What the framework itself refuses: no such route, no such method, too long, broken JSON."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    detail = _UNHEARD.get(status, str(error.detail))
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods_at(request)))
    return problem(status, detail, _CODE_OF.get(status, "conflict"), request, headers=headers)


def _methods_at(request: Request) -> set[str]:
    """Of all routes with this path: each is for one method, and the framework names the first one's."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is Match.PARTIAL:
            found |= route.methods
    return found


async def _on_accident(request: Request, error: Exception) -> Response:
    detail = "Something went wrong on our side; it was written down. Try again."
    return problem(500, detail, "internal", request)


def handle_errors(app: FastAPI) -> None:
    """Answer every error of `app` as a problem."""
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_accident)

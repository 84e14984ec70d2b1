"""Refusals: one class per HTTP status, one stable code per reason.

The API answers a `Refusal` as RFC 9457 `application/problem+json`; a socket sends it as an `error`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of a request: `field` is its dotted path."""

    field: str
    message: str


_LENGTHS = {"too_short": ("least", "min_length"), "too_long": ("most", "max_length")}


def field_message(error: Mapping[str, Any]) -> str:
    """One error of `pydantic.ValidationError.errors()` as the end of a sentence about the field, such as
    `must have at most 128 characters`."""
    if error["type"] in _LENGTHS and isinstance(error.get("input"), str):
        words, limit = _LENGTHS[error["type"]]
        return f"must have at {words} {error['ctx'][limit]} characters"
    if error["type"] == "missing":
        return "is required"
    message = re.sub(r"^\w+ should ", "must ", str(error["msg"]).removeprefix("Value error, "))
    return message[:1].lower() + message[1:]


class Refusal(Exception):
    """A request is refused and has changed nothing. `detail` is a sentence that clients show to people as it
    is."""

    status = 409
    code = "refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = tuple(errors)
        self.retry_after = retry_after


class BadRequest(Refusal):
    status = 400
    code = "bad_request"


class Unauthorized(Refusal):
    status = 401
    code = "unauthorized"


class Forbidden(Refusal):
    status = 403
    code = "forbidden"


class NotFound(Refusal):
    """Absent, or of another user: both get the same answer."""

    status = 404
    code = "not_found"


class Conflict(Refusal):
    """The present state does not allow it."""

    status = 409
    code = "conflict"


class Stale(Refusal):
    status = 412
    code = "stale_etag"


class TooLarge(Refusal):
    status = 413
    code = "too_large"


class NotText(Refusal):
    status = 415
    code = "not_text"


class Invalid(Refusal):
    status = 422
    code = "invalid"


class TooMany(Refusal):
    status = 429
    code = "too_many_requests"


class Unavailable(Refusal):
    """A part that the service needs is down. The client may try again after `retry_after` seconds."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: int = 2) -> None:
        super().__init__(detail, code=code, retry_after=retry_after)


NOT_FOUND = "There is nothing here under that address."
"""The sentence for everything that is absent or belongs to another user."""

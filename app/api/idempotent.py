"""`Idempotency-Key` on the calls that set something going: the first answer is given again to a retry."""

import re
from collections.abc import Awaitable
from typing import Annotated

from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError

from app.actions.idempotency import Answer, Once, begin, forget, keep
from app.api.deps import SignedInRoute, house, identify
from app.api.door import Handler
from app.api.errors import MEDIA_TYPE, as_refusal, refused
from app.domain.errors import FieldError, Invalid, Refusal

HEADER = "idempotency-key"
_VALID = re.compile(r"[\x20-\x7e]{1,255}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1–255 printable ASCII characters, kept for 24 h: a retry with the same body gets the "
        "first answer again, with `Idempotent-Replayed: true`.",
    ),
]


class IdempotentRoute(SignedInRoute):
    """A route whose doors take an `Idempotency-Key`."""

    async def answer(self, request: Request, handler: Handler) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return await super().answer(request, handler)
        return await _once(request, key, handler)


async def _once(request: Request, key: str, handler: Handler) -> Response:
    caller = await identify(request)
    if not _VALID.fullmatch(key):
        message = "must be 1–255 printable ASCII characters"
        raise Invalid(f"Idempotency-Key: {message}.", errors=[FieldError("Idempotency-Key", message)])
    resources = house(request).resources
    once = Once(caller.user_id, request.method, request.scope["path"], key)
    first = await begin(resources, once, await request.body())
    if first is not None:
        return _replayed(first)
    answer: Answer | None = None
    try:
        response = await _answered(request, handler(request))
        if response.status_code != 429 and response.status_code < 500:
            answer = Answer(response.status_code, bytes(response.body))
        return response
    finally:
        await (forget(resources, once) if answer is None else keep(resources, once, answer))


async def _answered(request: Request, handling: Awaitable[Response]) -> Response:
    """The answer, refusals included: they are kept, too."""
    try:
        return await handling
    except RequestValidationError as error:
        return refused(request, as_refusal(error))
    except Refusal as refusal:
        return refused(request, refusal)


def _replayed(first: Answer) -> Response:
    media_type = "application/json" if first.status < 400 else MEDIA_TYPE
    return Response(first.body, first.status, {"Idempotent-Replayed": "true"}, media_type)

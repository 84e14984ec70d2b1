"""`Idempotency-Key` on calls that start something: a retry gets the first answer again."""

import hashlib
import re
from collections.abc import Awaitable
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError

from app.actions.idempotency import StillRunning, first_answer, keep_refusal
from app.api.deps import SignedInRoute, house, identify
from app.api.errors import MEDIA_TYPE, as_refusal, refused
from app.api.wire.json_route import Handler
from app.domain.errors import FieldError, Invalid, Refusal
from app.store.idempotency import FirstAnswer, Once

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
    """A route that takes an `Idempotency-Key`. Its handler gives the `Once` (see `OnceAsked`) to the
    action."""

    async def answer(self, request: Request, handler: Handler) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return await super().answer(request, handler)
        once = request.state.once = await self._once(request, key)
        here = house(request)
        first = await first_answer(here.reads, once)
        if first is not None:
            return _replayed(first)
        response = await _answered(request, super().answer(request, handler))
        if 400 <= response.status_code < 500 and response.status_code != 429:
            await keep_refusal(here.resources, once, response.status_code, bytes(response.body))
        return response

    async def _once(self, request: Request, key: str) -> Once:
        caller = await identify(request)
        if not _VALID.fullmatch(key):
            message = "must be 1–255 printable ASCII characters"
            raise Invalid(f"Idempotency-Key: {message}.", errors=[FieldError("Idempotency-Key", message)])
        assert self.status_code is not None, "a route of this class declares its status"
        digest = hashlib.sha256(await request.body()).digest()
        return Once(caller.user_id, request.method, request.scope["path"], key, digest, self.status_code)


async def _asked(request: Request, _: IdempotencyKey = None) -> Once | None:
    return getattr(request.state, "once", None)


OnceAsked = Annotated[Once | None, Depends(_asked)]


async def _answered(request: Request, answering: Awaitable[Response]) -> Response:
    """The answer. Refusals become answers here, because they are stored, too."""
    try:
        return await answering
    except StillRunning:
        raise
    except RequestValidationError as error:
        return refused(request, as_refusal(error))
    except Refusal as refusal:
        return refused(request, refusal)


def _replayed(first: FirstAnswer) -> Response:
    media_type = "application/json" if first.status < 400 else MEDIA_TYPE
    return Response(first.body, first.status, {"Idempotent-Replayed": "true"}, media_type)

"""No request body is larger than 4 MiB, with or without a `Content-Length`."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import refused
from app.domain.errors import TooLarge

MAX_BODY_BYTES = 4 * 1024 * 1024


class BodyLimit:
    """Refuses a declared size that is too large at once; stops reading a body of undeclared size at the
    limit."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > MAX_BODY_BYTES:
            answer = refused(Request(scope), TooLarge("The request is over 4 MiB."))
            await answer(scope, receive, send)
            return
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise HTTPException(413)
            return message

        await self.app(scope, receive_counted, send)

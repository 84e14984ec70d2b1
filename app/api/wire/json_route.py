"""The route class of the whole API: request bodies are JSON in UTF-8 and nothing else."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """Stricter than the framework's request, which takes UTF-16, UTF-32, a byte order mark, NaN and Infinity,
    too."""

    async def json(self) -> Any:
        """The body. Raises UnicodeDecodeError, JSONDecodeError or ValueError; all are answered with 400."""
        return json.loads((await self.body()).decode(), parse_constant=_refuse)


class JsonRoute(APIRoute):
    """Subclasses override `answer` to do something around a handler."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            return await self.answer(JsonRequest(request.scope, request.receive), handler)

        return answered

    async def answer(self, request: Request, handler: Handler) -> Response:
        return await handler(request)


def _refuse(number: str) -> None:
    raise ValueError(f"{number} is not JSON")

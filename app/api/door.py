"""The route that all doors are: what is said to them is JSON in UTF-8, and nothing else."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class JsonRequest(Request):
    """The framework's own request also takes UTF-16, UTF-32, a byte order mark, NaN and Infinity."""

    async def json(self) -> Any:
        """The body. UnicodeDecodeError, JSONDecodeError or ValueError, all of which are answered with 400."""
        return json.loads((await self.body()).decode(), parse_constant=_refuse)


class Door(APIRoute):
    """`answer` is what subclasses put around a handler."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            return await self.answer(JsonRequest(request.scope, request.receive), handler)

        return answered

    async def answer(self, request: Request, handler: Handler) -> Response:
        return await handler(request)


def _refuse(number: str) -> None:
    raise ValueError(f"{number} is no JSON")

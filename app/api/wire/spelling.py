"""A path with and without a trailing slash reaches the same route, without a redirect."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send


class Spelling:
    """Rewrites a path to the form that its route has: with a slash, unless a route is declared without one.

    `paths` are the paths of the routes. A route is recognised by its last two segments: `containers/start`
    has no slash, `{job_id}/start/` has one.
    """

    def __init__(self, app: ASGIApp, paths: Iterable[str]) -> None:
        self.app = app
        self.bare = frozenset(_tail(path) for path in paths if not path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            plain = scope["path"].removesuffix("/")
            scope["path"] = plain if _tail(plain) in self.bare else plain + "/"
        await self.app(scope, receive, send)


def _tail(path: str) -> tuple[str, ...]:
    return tuple(path.split("/")[-2:])

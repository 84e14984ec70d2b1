"""Who opens a socket. Credentials are looked for in the order of the contract; the first one that is there
decides, also if it is wrong. The cookie, which a browser sends by itself, comes last."""

from uuid import UUID

from starlette.requests import HTTPConnection

from app.actions.accounts import redeem_ws_ticket
from app.auth.tokens import Tokens
from app.domain.errors import Forbidden, Unauthorized
from app.resources import Resources

COOKIE = "boardroom_access"
"""Holds the access token; set by register, login and refresh."""

SUBPROTOCOL = "bearer"


async def identify(
    connection: HTTPConnection,
    resources: Resources,
    tokens: Tokens,
    *,
    token_query: bool,
    origins: frozenset[str] | None,
) -> tuple[UUID, UUID]:
    """(user id, session id). Unauthorized; Forbidden: a cookie from a foreign origin; Unavailable.

    `token_query` allows `?token=`. `origins` are the listed ones; None (any origin) allows none for the
    cookie.
    """
    query = connection.query_params
    token = _bearer(connection) or _from_subprotocols(connection)
    if not token and (ticket := query.get("ticket")):
        return await redeem_ws_ticket(resources, ticket)
    if not token and token_query:
        token = query.get("token")
    if not token and (token := connection.cookies.get(COOKIE)):
        _refuse_foreign_origin(connection, origins)
    if not token:
        raise Unauthorized("This socket needs a credential: log in first.", code="not_authenticated")
    claims = tokens.read_access(token)
    return claims.user_id, claims.session_id


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _from_subprotocols(connection: HTTPConnection) -> str | None:
    """`Sec-WebSocket-Protocol: bearer, <access>`: the only header that a browser's page can set."""
    offered: list[str] = connection.scope["subprotocols"]
    if SUBPROTOCOL not in offered[:-1]:
        return None
    return offered[offered.index(SUBPROTOCOL) + 1]


def _refuse_foreign_origin(connection: HTTPConnection, origins: frozenset[str] | None) -> None:
    """A browser sends the cookie for every page that opens a socket to us, whoever wrote the page."""
    origin = connection.headers.get("origin", "").lower()
    host = connection.headers.get("host", "").lower()
    own = host and origin in (f"http://{host}", f"https://{host}")
    if not own and origin not in (origins or ()):
        raise Forbidden("A page of another origin may not use this session.", code="foreign_origin")

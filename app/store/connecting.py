"""A connection to PostgreSQL, made as DATABASE_URL says: for the engine, for statements, for migrations."""

import random
import socket
import ssl
from collections.abc import Mapping
from math import isinf
from typing import Any, TypeAlias
from urllib.parse import urlencode

import asyncpg

from app.database_url import Address

CONNECT_S = 3.0
"""Seconds to reach one host, if DATABASE_URL does not say."""

STATEMENT_S = 10.0
"""Seconds after which a statement is given up. Ours take milliseconds, so PostgreSQL must be hanging."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_OPTIONS = {
    "keepalives": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepalives_idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepalives_interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepalives_count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "tcp_user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
}


async def connect(
    address: Address,
    *,
    timeout_s: float = CONNECT_S,
    statement_s: float | None = STATEMENT_S,
    **more: Any,
) -> Connection:
    """A connection to the first host that has what is asked for. `timeout_s` is for each host, unless the
    address says it. `more` are further arguments of `asyncpg.connect`."""
    hosts: list[tuple[str, int] | tuple[None, None]] = list(address.hosts) or [(None, None)]
    if address.any_order:
        random.shuffle(hosts)
    within = address.timeout_s or timeout_s
    limit = None if isinf(within) else within
    arguments = {**_arguments(address), "timeout": limit, "command_timeout": statement_s, **more}
    arguments["server_settings"] = {
        "timezone": "UTC",
        **address.server_settings,
        **(more.get("server_settings") or {}),
    }
    for place, (host, port) in enumerate(hosts, start=1):
        try:
            connection: Connection = await asyncpg.connect(host=host, port=port, **arguments)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched):
            if place == len(hosts):
                raise
        else:
            _keep_alive(connection, address.sockets)
            return connection
    raise AssertionError("the last host has answered or raised")


def _arguments(address: Address) -> dict[str, Any]:
    words = dict(address.words)
    secure = _system_roots(words) if words.get("sslrootcert") == "system" else None
    return {
        "user": address.user,
        "password": address.password,
        "database": address.database,
        "ssl": secure,
        # asyncpg takes most words in a DSN only; the rest of it is empty.
        "dsn": f"postgresql://?{urlencode(words)}" if words else None,
    }


def _system_roots(words: dict[str, str]) -> ssl.SSLContext:
    """TLS that trusts the machine's certificates. The words of it are taken out of `words`."""
    context = ssl.create_default_context()
    del words["sslrootcert"], words["sslmode"]
    if certificate := words.pop("sslcert", ""):
        context.load_cert_chain(certificate, words.pop("sslkey", None), words.pop("sslpassword", None))
    return context


def _keep_alive(connection: Connection, wanted: Mapping[str, int]) -> None:
    if not wanted:
        return
    link = socket_of(connection)
    if link.family == socket.AF_UNIX:
        return
    for word, value in wanted.items():
        if value > 0 or word == "keepalives":
            link.setsockopt(*_OPTIONS[word], value)


def socket_of(connection: Any) -> Any:
    """The socket of an asyncpg connection."""
    return connection._transport.get_extra_info("socket")

"""Which credentials open a socket, and with which codes all others are closed."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7
from websockets.exceptions import ConnectionClosed

from app.actions.accounts import give_ws_ticket
from app.api.sockets import door
from app.api.sockets.codes import CLOSE_FOR, Close
from app.auth.tokens import Tokens
from app.domain import errors
from app.store.tables import RefreshFamily, WsTicket
from tests.helpers.sockets import open_socket
from tests.sockets.conftest import SECRET, TOKENS, OpenWeb, Person, Web, add_person

EXPIRED = Tokens(SECRET, access_s=-5)
FORGED = Tokens("another secret, of somebody else's service", access_s=600)


async def close_code(url: str, access: str | None = None, **options: Any) -> int | None:
    """The code with which a socket is closed after it was accepted, without a message."""
    async with open_socket(url, access, **options) as socket:
        return await socket.closed()


async def is_let_in(url: str, access: str | None = None, **options: Any) -> bool:
    async with open_socket(url, access, **options) as socket:
        try:
            return await socket.pings() == []
        except ConnectionClosed:
            return False


def cookie(access: str, origin: str | None) -> dict[str, Any]:
    headers = {"Cookie": f"theme=dark; boardroom_access={access}"}
    return {"headers": headers if origin is None else headers | {"Origin": origin}}


async def test_each_credential_opens_the_socket(web: Web, ada: Person, job_id: UUID) -> None:
    ticket = await give_ws_ticket(web.resources, ada.id, ada.session_id)
    assert await is_let_in(web.url(job_id), ada.access)
    assert await is_let_in(web.url(job_id, f"?ticket={ticket}"))
    assert await is_let_in(web.url(job_id, f"?token={ada.access}"))
    assert await is_let_in(web.url(job_id), **cookie(ada.access, f"http://127.0.0.1:{web.port}"))
    assert await is_let_in(web.url(job_id), **cookie(ada.access, "https://listed.example"))
    async with open_socket(web.url(job_id), subprotocols=["bearer", ada.access]) as socket:
        assert socket.connection.subprotocol == "bearer"
        assert await socket.pings() == []


async def test_a_ticket_opens_one_socket(web: Web, ada: Person, job_id: UUID) -> None:
    ticket = await give_ws_ticket(web.resources, ada.id, ada.session_id)
    assert await is_let_in(web.url(job_id, f"?ticket={ticket}"))
    assert await close_code(web.url(job_id, f"?ticket={ticket}")) == Close.UNAUTHORIZED


async def test_a_ticket_is_void_after_its_time(web: Web, ada: Person, job_id: UUID) -> None:
    async with web.resources.unit() as unit:
        unit.session.add(
            WsTicket(
                digest=hashlib.sha256(b"late").digest(),
                user_id=ada.id,
                family_id=ada.session_id,
                expires_at=datetime.now(UTC) - timedelta(seconds=1),
            )
        )
    assert await close_code(web.url(job_id, "?ticket=late")) == Close.UNAUTHORIZED


async def test_the_first_credential_given_decides(web: Web, ada: Person, job_id: UUID) -> None:
    """In the documented order: after a wrong credential a right one of the next kind does not count."""
    ticket = await give_ws_ticket(web.resources, ada.id, ada.session_id)
    good = cookie(ada.access, f"http://127.0.0.1:{web.port}")
    refused = Close.UNAUTHORIZED
    assert await close_code(web.url(job_id, f"?token={ada.access}"), "wrong", **good) == refused
    assert await close_code(web.url(job_id), "wrong", subprotocols=["bearer", ada.access]) == refused
    offer: dict[str, Any] = {"subprotocols": ["bearer", "wrong"], **good}
    assert await close_code(web.url(job_id, f"?ticket={ticket}"), **offer) == refused
    assert await close_code(web.url(job_id, f"?ticket=wrong&token={ada.access}"), **good) == refused
    assert await close_code(web.url(job_id, "?token=wrong"), **good) == refused
    assert await is_let_in(web.url(job_id, "?token=wrong&ticket=wrong"), ada.access)
    assert await is_let_in(web.url(job_id, f"?ticket={ticket}&token=wrong"))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://127.0.0.1:1", "http://["])
async def test_a_cookie_counts_only_from_known_origins(
    web: Web, ada: Person, job_id: UUID, origin: str | None
) -> None:
    assert await close_code(web.url(job_id), **cookie(ada.access, origin)) == Close.FOREIGN_ORIGIN


async def test_without_listed_origins_cookies_of_other_origins_are_refused(
    start_web: OpenWeb, web: Web, ada: Person, job_id: UUID
) -> None:
    async with start_web(cors_origins=None) as other:
        page = cookie(ada.access, "https://listed.example")
        assert await close_code(other.url(job_id), **page) == Close.FOREIGN_ORIGIN
        assert await is_let_in(other.url(job_id), ada.access, headers={"Origin": "https://listed.example"})


async def test_a_token_in_the_query_counts_only_when_switched_on(
    start_web: OpenWeb, web: Web, ada: Person, job_id: UUID
) -> None:
    async with start_web(allow_ws_token_query=False) as strict:
        assert await close_code(strict.url(job_id, f"?token={ada.access}")) == Close.UNAUTHORIZED
        own = cookie(ada.access, f"http://127.0.0.1:{strict.port}")
        assert await is_let_in(strict.url(job_id, "?token=wrong"), **own)


@pytest.mark.parametrize(
    "access",
    [
        lambda ada: None,
        lambda ada: "",
        lambda ada: "undefined",
        lambda ada: "x" * 5000,
        lambda ada: EXPIRED.access(ada.id, ada.session_id),
        lambda ada: FORGED.access(ada.id, ada.session_id),
        lambda ada: TOKENS.access(uuid7(), ada.session_id),
        lambda ada: TOKENS.access(ada.id, uuid7()),
        lambda ada: TOKENS.refresh(ada.id, ada.session_id, uuid7(), datetime.now(UTC), datetime.max),
    ],
    ids=["none", "empty", "no token", "long", "expired", "forged", "no user", "no session", "refresh token"],
)
async def test_without_a_good_credential_4001(
    web: Web, ada: Person, job_id: UUID, access: Callable[[Person], str | None]
) -> None:
    assert await close_code(web.url(job_id), access(ada)) == Close.UNAUTHORIZED


async def test_a_session_that_is_over_is_4001(web: Web, ada: Person, job_id: UUID) -> None:
    async with web.resources.unit() as unit:
        family = await unit.session.get_one(RefreshFamily, ada.session_id)
        family.revoked_at = datetime.now(UTC)
    assert await close_code(web.url(job_id), ada.access) == Close.UNAUTHORIZED


async def test_another_users_job_is_answered_like_a_missing_one(web: Web, ada: Person, job_id: UUID) -> None:
    bob = await add_person(web.resources, "Bob")
    assert await close_code(web.url(job_id), bob.access) == Close.NOT_YOURS
    for absent in (uuid7(), "none", "%00", "a%2Fb", "a/b/c", str(job_id).replace("-", ""), "é"):
        assert await close_code(web.url(absent), ada.access) == Close.NOT_YOURS
    assert await close_code(web.url("none"), "wrong") == Close.UNAUTHORIZED


async def test_a_token_that_expires_leaves_its_socket_open(web: Web, ada: Person, job_id: UUID) -> None:
    short = Tokens(SECRET, access_s=2)  # `exp` is in whole seconds, so one second could be over at once
    async with open_socket(web.url(job_id), short.access(ada.id, ada.session_id)) as socket:
        with pytest.raises(TimeoutError):
            await socket.hear(within_s=3)
        assert await socket.pings() == []


@pytest.mark.parametrize("limit", ["MAX_SOCKETS", "MAX_SOCKETS_PER_USER"])
async def test_too_many_sockets_are_1013(
    start_web: OpenWeb, ada: Person, job_id: UUID, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, limit, 2)
    async with start_web() as small, open_socket(small.url(job_id), ada.access) as one:
        async with open_socket(small.url(job_id), ada.access) as two:
            assert await one.pings() == await two.pings() == []
            assert await close_code(small.url(job_id), ada.access) == Close.UNAVAILABLE
        async with asyncio.timeout(5):
            while not await is_let_in(small.url(job_id), ada.access):
                pass


async def test_sockets_that_come_at_once_are_counted_too(
    start_web: OpenWeb, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "MAX_SOCKETS_PER_USER", 2)
    async with start_web() as small, AsyncExitStack() as later:
        opened = [open_socket(small.url(job_id), ada.access) for _ in range(8)]
        found = await asyncio.gather(*map(later.enter_async_context, opened))
        answers = await asyncio.gather(*(socket.pings() for socket in found), return_exceptions=True)
        assert answers.count([]) == 2


def test_every_refusal_at_the_door_has_its_code() -> None:
    assert {
        errors.Unauthorized: 4001,
        errors.NotFound: 4003,
        errors.Forbidden: 1008,
        errors.Unavailable: 1013,
    } == CLOSE_FOR


async def test_no_credential_reaches_a_log(
    web: Web,
    ada: Person,
    job_id: UUID,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ticket = await give_ws_ticket(web.resources, ada.id, ada.session_id)
    with caplog.at_level(logging.DEBUG):
        assert await is_let_in(web.url(job_id, f"?token={ada.access}"))
        assert await is_let_in(web.url(job_id, f"?ticket={ticket}"))
        assert await is_let_in(web.url(job_id), ada.access)
        assert await is_let_in(web.url(job_id), **cookie(ada.access, f"http://127.0.0.1:{web.port}"))
        assert await is_let_in(web.url(job_id), subprotocols=["bearer", ada.access])
        assert await close_code(web.url(job_id, f"?token={ada.access}x")) == Close.UNAUTHORIZED
    captured = capfd.readouterr()
    lines = [record.getMessage() for record in caplog.records if record.name != "websockets.client"]
    text = "\n".join([*lines, captured.out, captured.err])
    assert f"WS /ws/jobs/{job_id}/ 4001" in text
    assert ada.access not in text
    assert ticket not in text

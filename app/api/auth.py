"""Routes of register, login, refresh, logout, me and ws-ticket."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.actions import accounts
from app.api.deps import Caller, Here, House, json_answer
from app.api.documented import refusals
from app.api.shapes import TOKEN, Session, User, WsTicket, example
from app.api.sockets.credentials import COOKIE
from app.api.wire.json_route import Door
from app.domain.account import NewAccount
from app.domain.values import ClientText, stamp

COOKIE_PATH = "/ws/"

router = APIRouter(prefix="/api/auth", tags=["1 · Authentication"], route_class=Door)


class Registration(NewAccount):
    """`password`: 8–128 characters, not the email."""

    model_config = example(email="ada@example.org", password="correct horse battery", name="Ada")  # noqa: S106


class Login(BaseModel):
    model_config = example(email="ada@example.org", password="correct horse battery")  # noqa: S106

    email: Annotated[ClientText, Field(max_length=1000)]
    password: Annotated[ClientText, Field(max_length=1000)]


class Refresh(BaseModel):
    model_config = example(refresh=TOKEN)

    refresh: str


@router.post(
    "/register/",
    status_code=201,
    response_model=Session,
    responses=refusals(
        "registration_closed", "email_taken", "bad_json", "invalid", "too_many_attempts", signed_in=False
    ),
)
async def register(request: Request, here: Here, body: Registration) -> Response:
    """Create a user and log in. The setting `REGISTRATION` says who may."""
    session = await accounts.register(
        here.resources,
        here.tokens,
        here.registration,
        _address(request),
        body,
    )
    return _session_answer(request, here, session, 201)


@router.post(
    "/login/",
    response_model=Session,
    responses=refusals("invalid_credentials", "bad_json", "invalid", "too_many_attempts", signed_in=False),
)
async def login(request: Request, here: Here, body: Login) -> Response:
    """Log in. Wrong credentials give 400 and not 401, because on a 401 clients try to renew an old
    session."""
    session = await accounts.login(
        here.resources, here.tokens, _address(request), email=body.email, password=body.password
    )
    return _session_answer(request, here, session)


@router.post(
    "/token/refresh/",
    response_model=Session,
    responses=refusals(
        "token_invalid", "token_expired", "session_over", "bad_json", "invalid", signed_in=False
    ),
)
async def refresh(request: Request, here: Here, body: Refresh) -> Response:
    """Renew a session: each use of a refresh token gives a new one. A token that was used before gives the
    session's newest tokens again, for `REFRESH_REUSE_SECONDS` after its first use and as long as the token
    that replaced it is unused. Any older token ends the session, because it may have been stolen."""
    session = await accounts.refresh(here.resources, here.tokens, here.refresh_reuse, body.refresh)
    return _session_answer(request, here, session)


@router.post("/logout/", status_code=204, responses=refusals("bad_json", "invalid", signed_in=False))
async def logout(request: Request, here: Here, body: Refresh) -> Response:
    """End the session of this refresh token. Unknown and replaced tokens give 204, too."""
    await accounts.logout(here.resources, here.tokens, body.refresh)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path=COOKIE_PATH, secure=_is_tls(request), httponly=True, samesite="strict")
    return answer


@router.get("/me/", summary="Current user", response_model=User, responses=refusals())
async def me(caller: Caller) -> Response:
    """The user whose token this is."""
    return json_answer(orjson.dumps(_user(caller.user_id, caller.email, caller.name, caller.date_joined)))


@router.post(
    "/ws-ticket/",
    summary="Get a socket ticket",
    status_code=201,
    response_model=WsTicket,
    responses=refusals(),
)
async def ws_ticket(here: Here, caller: Caller) -> Response:
    """A ticket that opens one socket (`?ticket=`), for clients that can set neither headers nor cookies."""
    ticket = await accounts.give_ws_ticket(here.resources, caller.user_id, caller.session_id)
    body = {"ticket": ticket, "expires_in": int(accounts.TICKET_LIFE.total_seconds())}
    return json_answer(orjson.dumps(body), 201)


def _session_answer(request: Request, here: House, session: accounts.Session, status: int = 200) -> Response:
    user = session.user
    body = {
        "access": session.access,
        "refresh": session.refresh,
        "expires_in": session.expires_in,
        "user": _user(user.id, user.email, user.name, user.date_joined),
    }
    answer = json_answer(orjson.dumps(body), status)
    answer.set_cookie(
        COOKIE,
        session.access,
        max_age=session.expires_in,
        path=COOKIE_PATH,
        secure=_is_tls(request),
        httponly=True,
        samesite="strict",
    )
    return answer


def _user(user_id: UUID, email: str, name: str, date_joined: datetime) -> dict[str, str]:
    return {"id": str(user_id), "email": email, "name": name, "date_joined": stamp(date_joined)}


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""

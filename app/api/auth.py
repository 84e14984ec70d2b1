"""Routes of register, login, refresh, logout, me and ws-ticket."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app.actions import accounts
from app.api.deps import Caller, Here, House, shape_answer
from app.api.documented import refusals
from app.api.shapes import TOKEN, USER_ID, WHEN, Shape, example
from app.api.sockets.credentials import COOKIE
from app.api.wire.json_route import JsonRoute
from app.domain.account import NewAccount
from app.domain.values import ClientText, Stamp

COOKIE_PATH = "/ws/"

router = APIRouter(prefix="/api/auth", tags=["1 · Authentication"], route_class=JsonRoute)


_USER = {"id": USER_ID, "email": "ada@example.org", "name": "Ada", "date_joined": WHEN}


class User(Shape):
    model_config = example(**_USER)

    id: UUID
    email: str
    name: str
    date_joined: Stamp


class Session(Shape):
    """`expires_in`: for how many seconds the `access` token is valid."""

    model_config = example(access=TOKEN, refresh=TOKEN, expires_in=3600, user=_USER)

    access: str
    refresh: str
    expires_in: int
    user: User


class WsTicket(Shape):
    """For `?ticket=` on a socket. Valid once, within `expires_in` seconds."""

    model_config = example(ticket="kq3Yk0mJ7r2vS5w8x1z4A6c9E0g3I5k7M9o1Q3s5U7w", expires_in=30)

    ticket: str
    expires_in: int


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
    return shape_answer(
        User(id=caller.user_id, email=caller.email, name=caller.name, date_joined=caller.date_joined)
    )


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
    life_s = int(accounts.TICKET_LIFE.total_seconds())
    return shape_answer(WsTicket(ticket=ticket, expires_in=life_s), 201)


def _session_answer(request: Request, here: House, session: accounts.Session, status: int = 200) -> Response:
    user = session.user
    body = Session(
        access=session.access,
        refresh=session.refresh,
        expires_in=session.expires_in,
        user=User(id=user.id, email=user.email, name=user.name, date_joined=user.date_joined),
    )
    answer = shape_answer(body, status)
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


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"


def _address(request: Request) -> str:
    return request.client.host if request.client else ""

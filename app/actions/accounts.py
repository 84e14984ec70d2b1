"""Accounts and sessions: register, log in, renew, log out.

A session is a *refresh family*: the refresh tokens that came from one login. Each use of a refresh token
makes a new one. Tokens are stored as rows and signed from the row when they are handed out, so that the
newest token of a family can be given again to tabs and parallel requests that share an older one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import ValidationError
from uuid_utils.compat import uuid7

from app.actions.limits import LOGIN, LOGIN_ADDRESS, REGISTER, spend
from app.auth.passwords import hash_password, verify_password
from app.auth.tokens import Tokens
from app.domain.account import NewAccount
from app.domain.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    field_message,
)
from app.resources import Resources
from app.store import attempts, rows, users
from app.store.statements import within
from app.store.tables import RefreshFamily, RefreshToken, User, WsTicket
from app.unit import Unit

REFRESH_LIFE = timedelta(days=14)
TICKET_LIFE = timedelta(seconds=30)

Registration = Literal["open", "first", "closed"]


@dataclass(frozen=True)
class Session:
    """The answer of register, login and refresh. `expires_in`: for how many seconds `access` is valid."""

    access: str
    refresh: str
    expires_in: int
    user: User


async def register(
    resources: Resources,
    tokens: Tokens,
    registration: Registration,
    address: str,
    account: NewAccount,
) -> Session:
    """A new user, logged in. Forbidden `registration_closed`, Conflict `email_taken`, TooMany."""
    async with resources.statements() as statements:
        await spend(statements, REGISTER, address)
        await attempts.forget_old(statements)
    if registration == "closed":
        raise Forbidden("Registration is switched off (REGISTRATION=closed).", code="registration_closed")
    password_hash = await hash_password(account.password)
    async with resources.unit() as unit:
        if registration == "first" and await users.lock_registration(unit.session):
            raise Forbidden(
                "Only the first user may register (REGISTRATION=first), and there is one.",
                code="registration_closed",
            )
        user = await _add(unit, account, password_hash)
        token = await users.begin_session(await within(unit.session), user, REFRESH_LIFE)
    assert token is not None, "the user is new"
    return _session(tokens, user, token)


async def login(resources: Resources, tokens: Tokens, address: str, *, email: str, password: str) -> Session:
    """BadRequest `invalid_credentials`, with the same time and bytes for an unknown email; TooMany."""
    pair = hashlib.sha256(f"{email.strip().lower()}\n{address}".encode()).hexdigest()
    async with resources.statements() as statements:
        await spend(statements, LOGIN_ADDRESS, address)
        await spend(statements, LOGIN, pair)
        user = await users.find_user(statements, email.strip())
        await attempts.forget_old(statements)
    wrong = BadRequest("Email or password is wrong.", code="invalid_credentials")
    if not await verify_password(password, user.password_hash if user else None) or user is None:
        raise wrong
    async with resources.statements() as statements:
        token = await users.begin_session(statements, user, REFRESH_LIFE)
        if token is None:
            raise wrong
        await attempts.give_back(statements, (LOGIN_ADDRESS.key(address), LOGIN.key(pair)))
    return _session(tokens, user, token)


async def refresh(resources: Resources, tokens: Tokens, reuse: timedelta, refresh_token: str) -> Session:
    """Replace a refresh token by a new one, or give the family's newest token again (see `_newest`).

    Raises Unauthorized if the token is invalid, expired or revoked, or so old that it was probably stolen. In
    the last case the whole family is revoked.
    """
    claims = tokens.read_refresh(refresh_token)
    async with resources.unit() as unit:
        newest: RefreshToken | None = None
        taken = await users.take_family(unit.session, claims.session_id)
        token = await unit.session.get(RefreshToken, claims.token_id)
        if taken and token and taken[0].revoked_at is None and token.family_id == taken[0].id:
            family, user = taken
            newest = await _newest(unit, family, token, reuse)
    if newest is None:
        raise Unauthorized("This session is over: log in again.", code="session_over")
    return _session(tokens, user, newest)


async def _newest(
    unit: Unit, family: RefreshFamily, token: RefreshToken, reuse: timedelta
) -> RefreshToken | None:
    """The refresh token to hand out for `token`. None if `token` must have been stolen; the family is revoked
    then."""
    now = await rows.now(unit.session)
    if token.rotated_at is None:
        token.rotated_at = now
        await users.forget_expired_tokens(unit.session, family.id)
        successor = _new_token(unit, family.id, now)
        token.successor = successor.id
        return successor
    successor_used = await users.is_rotated(unit.session, token.successor)
    if now - token.rotated_at > reuse and successor_used:
        family.revoked_at = now
        return None
    return await users.newest_token(unit.session, family.id)


async def logout(resources: Resources, tokens: Tokens, refresh_token: str) -> None:
    """End the session of this refresh token, however old it is. An invalid token changes nothing."""
    try:
        claims = tokens.read_refresh(refresh_token, even_expired=True)
    except Unauthorized:
        return
    async with resources.unit() as unit:
        taken = await users.take_family(unit.session, claims.session_id)
        if taken is not None and taken[0].revoked_at is None:
            taken[0].revoked_at = await rows.now(unit.session)


async def give_ws_ticket(resources: Resources, user_id: UUID, session_id: UUID) -> str:
    """A ticket for one socket of this session; only its digest is stored."""
    ticket = secrets.token_urlsafe(32)
    async with resources.unit() as unit:
        await users.forget_expired_tickets(unit.session)
        unit.session.add(
            WsTicket(
                digest=_digest(ticket),
                user_id=user_id,
                family_id=session_id,
                expires_at=await rows.now(unit.session) + TICKET_LIFE,
            )
        )
    return ticket


async def redeem_ws_ticket(resources: Resources, ticket: str) -> tuple[UUID, UUID]:
    """Use up a ticket; returns (user id, session id). Raises Unauthorized if it is unknown, used or
    expired."""
    async with resources.unit() as unit:
        row = await users.redeem_ticket(unit.session, _digest(ticket))
        now = await rows.now(unit.session)
    if row is None or row.expires_at <= now:
        raise Unauthorized("This ticket is not valid any more: ask for another.", code="ticket_invalid")
    return row.user_id, row.family_id


async def add_user(resources: Resources, *, email: str, password: str, name: str = "") -> UUID:
    """A new user, made by whoever runs the service. Conflict `email_taken`, Invalid."""
    account = _valid(email, password, name)
    password_hash = await hash_password(password)
    async with resources.unit() as unit:
        user = await _add(unit, account, password_hash)
    return user.id


async def change_password(resources: Resources, *, email: str, password: str) -> None:
    """A new password; every session of the user is over. NotFound, Invalid."""
    account = _valid(email, password)
    password_hash = await hash_password(password)
    async with resources.unit() as unit:
        user_id = await users.set_password(unit.session, account.email, password_hash)
        if user_id is None:
            raise NotFound(f"There is no user with the email {email}.")
        await users.revoke_sessions(unit.session, user_id)


async def _add(unit: Unit, account: NewAccount, password_hash: str) -> User:
    user = User(
        id=uuid7(),
        email=account.email,
        name=account.name,
        password_hash=password_hash,
        date_joined=await rows.now(unit.session),
    )
    if not await users.add(unit.session, user):
        raise Conflict("There is a user with this email already.", code="email_taken")
    return user


def _new_token(unit: Unit, family_id: UUID, now: datetime) -> RefreshToken:
    now = now.replace(microsecond=0)
    token = RefreshToken(id=uuid7(), family_id=family_id, issued_at=now, expires_at=now + REFRESH_LIFE)
    unit.session.add(token)
    return token


def _session(tokens: Tokens, user: User, token: RefreshToken) -> Session:
    family = token.family_id
    signed = tokens.refresh(user.id, family, token.id, token.issued_at, token.expires_at)
    return Session(tokens.access(user.id, family), signed, tokens.access_s, user)


def _valid(email: str, password: str, name: str = "") -> NewAccount:
    try:
        return NewAccount(email=email, password=password, name=name)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Invalid(f"{first['loc'][0]}: {field_message(first)}.") from None


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()

"""Users, their sessions (refresh families) and the tickets of their sockets."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, Text, Uuid, any_, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.store.statements import Statement, Statements
from app.store.tables import RefreshFamily, RefreshToken, User, WsTicket

_FIRST_USER_LOCK = 7_022_027
"""The advisory lock with which registrations check one after the other whether there is a user."""

SWEEP = 100
"""The most outdated rows that one call deletes."""


@dataclass(frozen=True)
class SignedIn:
    """The caller: a user with a session that has not ended."""

    user_id: UUID
    session_id: UUID
    email: str
    name: str
    date_joined: datetime

    @property
    def sender(self) -> str:
        """The name that this user's messages have as sender."""
        return self.name or self.email


_SIGNED_IN = Statement(
    select(User.email, User.name, User.date_joined)
    .join(RefreshFamily, RefreshFamily.user_id == User.id)
    .where(
        User.id == bindparam("user_id"),
        RefreshFamily.id == bindparam("session_id"),
        RefreshFamily.revoked_at.is_(None),
    )
)
_LIVE = Statement(
    select(RefreshFamily.id).where(
        RefreshFamily.id == any_(bindparam("session_ids", type_=ARRAY(Uuid))),
        RefreshFamily.revoked_at.is_(None),
    )
)


async def signed_in(statements: Statements, user_id: UUID, session_id: UUID) -> SignedIn | None:
    """The user of a session, or None when it was revoked or its user is gone."""
    row = await statements.row(_SIGNED_IN, {"user_id": user_id, "session_id": session_id})
    return None if row is None else SignedIn(user_id, session_id, *row)


async def live_sessions(statements: Statements, session_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of the given sessions that are neither revoked nor of a deleted user."""
    return frozenset(row[0] for row in await statements.rows(_LIVE, {"session_ids": list(session_ids)}))


async def add(session: AsyncSession, user: User) -> bool:
    """Store a new user; False, storing nothing, when the email is taken."""
    values = {column.key: getattr(user, column.key) for column in User.__table__.columns}
    query = insert(User).values(values).on_conflict_do_nothing().returning(User.id)
    return await session.scalar(query) is not None


_FIND = Statement(
    select(User.id, User.email, User.name, User.password_hash, User.date_joined).where(
        func.lower(User.email) == func.lower(bindparam("email", type_=Text))
    )
)


async def find_user(statements: Statements, email: str) -> User | None:
    """By email, whatever its case."""
    row = await statements.row(_FIND, {"email": email})
    return None if row is None else User(**row)


async def set_password(session: AsyncSession, email: str, password_hash: str) -> UUID | None:
    """The user's id; None when there is none with this email, whatever its case."""
    query = update(User).where(func.lower(User.email) == func.lower(email))
    return await session.scalar(query.values(password_hash=password_hash).returning(User.id))


async def lock_registration(session: AsyncSession) -> bool:
    """Take a lock that lets one registration at a time proceed until its unit ends; returns whether there is
    a user."""
    await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _FIRST_USER_LOCK})
    return await session.scalar(select(User.id).limit(1)) is not None


async def take_family(session: AsyncSession, family_id: UUID) -> tuple[RefreshFamily, User] | None:
    """Lock a family and read its user, so that refreshes and logouts of a family happen one after the
    other."""
    query = (
        select(RefreshFamily, User)
        .join(User, User.id == RefreshFamily.user_id)
        .where(RefreshFamily.id == family_id)
        .with_for_update(of=RefreshFamily)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def is_rotated(session: AsyncSession, token_id: UUID | None) -> bool:
    """Whether this refresh token was used."""
    query = select(RefreshToken.id).where(RefreshToken.id == token_id, RefreshToken.rotated_at.is_not(None))
    return await session.scalar(query) is not None


async def revoke_sessions(session: AsyncSession, user_id: UUID) -> None:
    """End all sessions of a user."""
    query = update(RefreshFamily).where(RefreshFamily.user_id == user_id, RefreshFamily.revoked_at.is_(None))
    await session.execute(query.values(revoked_at=func.clock_timestamp()))


async def newest_token(session: AsyncSession, family_id: UUID) -> RefreshToken:
    """The one token of a family that was not used yet."""
    query = select(RefreshToken).where(RefreshToken.family_id == family_id, RefreshToken.rotated_at.is_(None))
    return (await session.execute(query)).scalar_one()


async def forget_expired_tokens(session: AsyncSession, family_id: UUID) -> None:
    """Delete a session's expired refresh tokens. A session may be renewed for years and would keep all of
    them."""
    await session.execute(
        delete(RefreshToken).where(
            RefreshToken.family_id == family_id,
            RefreshToken.rotated_at.is_not(None),
            RefreshToken.expires_at < func.clock_timestamp(),
        )
    )


_BEGIN = Statement(
    text(
        """
    with known as (
        select id from users where id = :user and password_hash = :password_hash for share
    ), expired as (
        delete from refresh_families as family using known where user_id = known.id and not exists (
            select from refresh_tokens where family_id = family.id and expires_at > clock_timestamp()
        )
    ), begun as (
        insert into refresh_families (id, user_id) select :family, id from known
    )
    insert into refresh_tokens (id, family_id, issued_at, expires_at)
    select :token, :family, issued_at, issued_at + :life
    from known, (select date_trunc('second', clock_timestamp()) as issued_at) as now
    returning issued_at, expires_at
    """
    ).bindparams(
        *(bindparam(name, type_=Uuid()) for name in ("user", "family", "token")),
        bindparam("password_hash", type_=Text()),
        bindparam("life", type_=Interval()),
    )
)


async def begin_session(statements: Statements, user: User, life: timedelta) -> RefreshToken | None:
    """A new session: a family and its first refresh token, which lives for `life`. Sessions of this user that
    nothing can renew any more are dropped. None when the user is gone or has another password by now."""
    token = RefreshToken(id=uuid7(), family_id=uuid7())
    row = await statements.row(
        _BEGIN,
        {
            "user": user.id,
            "password_hash": user.password_hash,
            "family": token.family_id,
            "token": token.id,
            "life": life,
        },
    )
    if row is None:
        return None
    token.issued_at, token.expires_at = row
    return token


async def redeem_ticket(session: AsyncSession, digest: bytes) -> WsTicket | None:
    """Take a ticket out of the table, whether it is still valid or not; None when there is none."""
    query = delete(WsTicket).where(WsTicket.digest == digest).returning(WsTicket)
    return (await session.execute(query)).scalar_one_or_none()


async def forget_expired_tickets(session: AsyncSession) -> None:
    old = select(WsTicket.digest).where(WsTicket.expires_at < func.now()).order_by(WsTicket.expires_at)
    old = old.limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(WsTicket).where(WsTicket.digest.in_(old)))

"""Preview addresses. An address contains a token and is valid for one session and one start of the app."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions.workspaces import app_box, container_status, start_app
from app.auth.tokens import Tokens
from app.domain.errors import Conflict
from app.resources import Resources
from app.runtime.workspace import BoxStatus
from app.store import previews, rows
from app.store.tables import Preview
from app.store.users import SignedIn
from app.unit import Unit

LIFE = timedelta(hours=12)
START_S = 5.0
"""Seconds that the caller waits for the app to answer. Afterwards the preview's own page waits."""

RENEWED = timedelta(hours=1)
"""An address that expires sooner than this is not given out again; a new one is made."""


@dataclass(frozen=True)
class Offer:
    """The `token` of an address, and for how many seconds it is still valid."""

    token: str
    expires_in: int


async def start_preview(resources: Resources, tokens: Tokens, caller: SignedIn, job_id: UUID) -> Offer:
    """Start the app if it does not run; returns its address, also if it does not answer yet. Raises what
    `app_box` raises; Conflict `no_app`."""
    async with app_box(resources, caller.user_id, job_id) as workspace:
        try:
            async with asyncio.timeout(START_S):
                app = await start_app(resources, workspace, job_id)
        except TimeoutError:
            app = await workspace.app_status()
    if app is None or app.began is None:
        raise Conflict("There is no app to start yet: boardroom.json does not say how.", code="no_app")
    return await _offer(resources, tokens, caller, job_id, app.began)


async def look(
    resources: Resources, tokens: Tokens, caller: SignedIn, job_id: UUID
) -> tuple[BoxStatus, Offer | None]:
    """The state of the container, and the address of its app if the app answers. Wakes nothing. Raises what
    `container_status` raises."""
    box = await container_status(resources, caller.user_id, job_id)
    if box.app_began is None:
        return box, None
    return box, await _offer(resources, tokens, caller, job_id, box.app_began)


async def _offer(
    resources: Resources, tokens: Tokens, caller: SignedIn, job_id: UUID, app_began: datetime
) -> Offer:
    """The address that this session got before, as long as it is valid; else a new one."""
    async with resources.look() as session:
        now = await rows.now(session)
        known = await previews.newest(session, job_id, caller.session_id, app_began, now + RENEWED)
    if known is not None and known.digest == digest_of(tokens.preview(known.id)):
        return _offer_of(tokens, known, now)
    async with resources.unit() as unit:
        await unit.take(job_id, caller.user_id)
        made = await _add(unit, tokens, caller, job_id, app_began)
    return _offer_of(tokens, made, made.created_at)


async def _add(unit: Unit, tokens: Tokens, caller: SignedIn, job_id: UUID, app_began: datetime) -> Preview:
    await previews.forget_void(unit.session, job_id, app_began)
    ident, now = uuid7(), await rows.now(unit.session)
    preview = Preview(
        id=ident,
        digest=digest_of(tokens.preview(ident)),
        job_id=job_id,
        family_id=caller.session_id,
        app_began=app_began,
        created_at=now,
        expires_at=now + LIFE,
    )
    unit.session.add(preview)
    return preview


def digest_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def _offer_of(tokens: Tokens, preview: Preview, now: datetime) -> Offer:
    return Offer(tokens.preview(preview.id), int((preview.expires_at - now).total_seconds()))

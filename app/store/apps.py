"""Apps as clients see them. Every query includes the owner."""

from uuid import UUID

from sqlalchemy import bindparam, select

from app.store.answers import Listed, Listing, Page, as_text, made_of, one, stamp
from app.store.statements import Statement, Statements
from app.store.tables import App, Job

_APP = made_of(
    id=App.id,
    job_id=App.job_id,
    spec=App.spec,
    prd_markdown=App.prd_markdown,
    prd_generated_at=stamp(App.prd_generated_at),
    created_at=stamp(App.created_at),
    updated_at=stamp(App.updated_at),
)
_OWNED = select(as_text(_APP)).join(Job, Job.id == App.job_id).where(Job.user_id == bindparam("owner"))
_ALONE = Statement(_OWNED.where(App.id == bindparam("app_id")))
_OF_JOB = Statement(_OWNED.where(App.job_id == bindparam("job_id")))
_ALL = Listing(
    select(App.id, _APP).join(Job, Job.id == App.job_id).where(Job.user_id == bindparam("owner")),
    [App.id],
    newest_first=True,
)


async def app(statements: Statements, owner: UUID, app_id: UUID) -> bytes | None:
    """An `App`."""
    return await one(statements, _ALONE, app_id=app_id, owner=owner)


async def app_of(statements: Statements, owner: UUID, job_id: UUID) -> bytes | None:
    """The `App` of a job, None while there is none."""
    return await one(statements, _OF_JOB, job_id=job_id, owner=owner)


async def all_apps(statements: Statements, owner: UUID, page: Page) -> Listed:
    """`[App]`, newest first."""
    return await _ALL.read(statements, page, owner=owner)

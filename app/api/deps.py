"""The dependencies of routes: who is calling, what the process holds open, which job or page is meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from app.actions.accounts import Registration
from app.actions.app_data import Copying
from app.api.readiness import Probe
from app.api.throttle import Throttle
from app.api.wire.json_route import Handler, JsonRoute
from app.auth.tokens import Tokens
from app.domain.budget import Limits
from app.domain.errors import NOT_FOUND, NotFound, Unauthorized
from app.domain.preview_origin import PreviewOrigin
from app.domain.values import parse_id
from app.resources import Resources
from app.store import users
from app.store.answers import Listed, Page
from app.store.statements import StatementPool
from app.store.users import SignedIn

MAX_PAGE = 1000
MAX_BIGINT = 2**63 - 1
"""The greatest value of PostgreSQL's bigint."""


@dataclass(frozen=True)
class House:
    """What all routes share; made once per process and kept in `app.state.house`."""

    resources: Resources
    reads: StatementPool
    tokens: Tokens
    throttle: Throttle
    registration: Registration
    refresh_reuse: timedelta
    job_purge: bool
    model: str
    limits: Limits
    metrics_token: str
    """METRICS_TOKEN; empty if there is none."""
    details_open: bool
    """Whether everybody may read metrics and details of readiness."""
    probes: Mapping[str, Probe]
    previews: PreviewOrigin
    copying: Copying


def house(connection: HTTPConnection) -> House:
    found: House = connection.app.state.house
    return found


async def _house(request: Request) -> House:
    return house(request)


_bearer = HTTPBearer(
    auto_error=False, scheme_name="access", description="The `access` token of register, login or refresh."
)


async def identify(request: Request) -> SignedIn:
    """Who is calling; looked up once per request. Raises Unauthorized, TooMany.

    After the token's signature, one indexed query checks that its session is not revoked and its user not
    deleted, so that a logout takes effect at once.
    """
    known: SignedIn | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("Log in first: this call needs an access token.", code="not_authenticated")
    here = house(request)
    claims = here.tokens.read_access(token.strip())
    async with here.reads.open() as statements:
        caller = await users.signed_in(statements, claims.user_id, claims.session_id)
    if caller is None:
        raise Unauthorized("This session is over: log in again.", code="session_over")
    here.throttle.take(caller.user_id)
    request.state.caller = caller
    return caller


class SignedInRoute(JsonRoute):
    """A route for users only: the caller is identified before the body is read."""

    async def answer(self, request: Request, handler: Handler) -> Response:
        await identify(request)
        return await super().answer(request, handler)


async def _caller(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> SignedIn:
    return await identify(request)


def _id_of(text: str) -> UUID:
    found = parse_id(text)
    if found is None:
        raise NotFound(NOT_FOUND)
    return found


_UUID = {"format": "uuid"}


async def _job_id(job_id: Annotated[str, Path(description="A job's id.", json_schema_extra=_UUID)]) -> UUID:
    return _id_of(job_id)


async def _copy_id(
    copy_id: Annotated[str, Path(description="A copy's id.", json_schema_extra=_UUID)],
) -> UUID:
    return _id_of(copy_id)


async def _evidence_id(
    evidence_id: Annotated[str, Path(description="A result's id.", json_schema_extra=_UUID)],
) -> UUID:
    return _id_of(evidence_id)


async def _item_id(
    item_id: Annotated[str, Path(alias="id", description="The item's id.", json_schema_extra=_UUID)],
) -> UUID:
    return _id_of(item_id)


async def _job_filter(
    job_id: Annotated[str | None, Query(description="Only of this job.", json_schema_extra=_UUID)] = None,
    job: Annotated[str | None, Query(description="The same as `job_id`.", json_schema_extra=_UUID)] = None,
) -> UUID | None:
    wanted = job_id if job_id is not None else job
    return None if wanted is None else _id_of(wanted)


async def _page(
    limit: Annotated[
        int | None, Query(description="How many at most, 1–1000 (clamped); without it the list is complete.")
    ] = None,
    before: Annotated[
        UUID | None, Query(description="Only items before this id, in the list's order.")
    ] = None,
    after: Annotated[UUID | None, Query(description="Only items after this id, in the list's order.")] = None,
) -> Page:
    return Page(None if limit is None else clamp(limit, 1, MAX_PAGE), before, after)


Here = Annotated[House, Depends(_house)]
Caller = Annotated[SignedIn, Depends(_caller)]
JobId = Annotated[UUID, Depends(_job_id)]
CopyId = Annotated[UUID, Depends(_copy_id)]
EvidenceId = Annotated[UUID, Depends(_evidence_id)]
ItemId = Annotated[UUID, Depends(_item_id)]
JobFilter = Annotated[UUID | None, Depends(_job_filter)]
PageAsked = Annotated[Page, Depends(_page)]


def clamp(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


def json_answer(body: bytes | None, status: int = 200) -> Response:
    """JSON that the store built; None raises NotFound."""
    if body is None:
        raise NotFound(NOT_FOUND)
    return Response(body, status, media_type="application/json")


def shape_answer(shape: BaseModel, status: int = 200, *, only_set: bool = False) -> Response:
    """An answer that PostgreSQL did not build. With `only_set` it lacks the fields left at their default."""
    return json_answer(shape.model_dump_json(exclude_unset=only_set).encode(), status)


def list_answer(request: Request, found: Listed, page: Page) -> Response:
    """A list. If a page was asked for and there is more, with a `Link` to the next page."""
    answer = json_answer(found.body)
    if found.edge is not None:
        backwards = page.before is not None and page.after is None
        link_next(request, answer, "before" if backwards else "after", str(found.edge))
    return answer


def link_next(request: Request, answer: Response, name: str, value: str) -> None:
    """Add a `Link` to the next page: this request with one parameter changed."""
    url = request.url.include_query_params(**{name: value})
    answer.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'

"""Answers that PostgreSQL builds as JSON, so that a hot read is one statement and no row becomes an object.

The doors send the text as it comes; the tests hold every answer against its documented shape.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, literal_column, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.errors import FieldError, Invalid

_STAMP: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


@dataclass(frozen=True)
class Page:
    """What part of a list is asked for, in the list's own order; all of it by default."""

    limit: int | None = None
    before: UUID | None = None
    after: UUID | None = None


@dataclass(frozen=True)
class Listed:
    """A list as JSON. `edge` is the id at which a next page begins, None when there is no more."""

    body: bytes
    edge: UUID | None = None


def made_of(**fields: Any) -> ColumnElement[Any]:
    """A JSON object with these keys."""
    pairs: Iterable[tuple[Any, Any]] = (
        (literal_column(f"'{name}'"), value) for name, value in fields.items()
    )
    return func.json_build_object(*chain.from_iterable(pairs))


def stamp(column: Any) -> ColumnElement[str]:
    """`2026-11-23T04:15:00.123456Z`, as `domain.values.stamp` has it; null stays null."""
    return func.to_char(func.timezone("UTC", column), _STAMP)


def array_of(body: ColumnElement[Any], order: Any) -> ColumnElement[Any]:
    """All rows as one JSON array, `[]` when there are none."""
    return func.coalesce(func.json_agg(aggregate_order_by(body, order)), literal_column("'[]'::json"))


def as_text(body: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(body, Text)


async def one(connection: AsyncConnection, query: Select[str], **values: UUID) -> bytes | None:
    """The one answer of `query`, or None. `values` are its bound parameters: a query that is made once is
    hashed once."""
    text = (await connection.execute(query, values)).scalar_one_or_none()
    return None if text is None else text.encode()


async def listed(
    connection: AsyncConnection,
    query: Select[UUID, str],
    order: Sequence[InstrumentedAttribute[Any]],
    page: Page,
    *,
    newest_first: bool = False,
) -> Listed:
    """The page of `query`, whose columns are the id and the JSON text, and whose conditions name the owner.

    Raises Invalid when `before` or `after` names nothing in the list.
    """
    whole = query
    for name, cursor in (("before", page.before), ("after", page.after)):
        if cursor is not None:
            there = tuple_(*await _position(connection, whole, order, name, cursor))
            behind = (name == "after") is not newest_first
            here = tuple_(*order)
            query = query.where(here > there if behind else here < there)
    backwards = page.before is not None and page.after is None and page.limit is not None
    falling = newest_first is not backwards
    query = query.order_by(*(column.desc() if falling else column.asc() for column in order))
    if page.limit is not None:
        query = query.limit(page.limit + 1)
    rows = list(await connection.execute(query))
    edge = None
    if page.limit is not None and len(rows) > page.limit:
        rows = rows[: page.limit]
        edge = rows[-1][0]
    if backwards:
        rows.reverse()
    return Listed(f"[{','.join(row[1] for row in rows)}]".encode(), edge)


async def _position(
    connection: AsyncConnection,
    query: Select[UUID, str],
    order: Sequence[InstrumentedAttribute[Any]],
    name: str,
    cursor: UUID,
) -> Row[Any]:
    """Where in the list an id stands; Invalid when it is not there."""
    ident = query.selected_columns[0]
    found = (await connection.execute(query.with_only_columns(*order).where(ident == cursor))).first()
    if found is None:
        message = "names nothing in this list"
        raise Invalid(f"{name}: {message}.", errors=[FieldError(name, message)])
    return found

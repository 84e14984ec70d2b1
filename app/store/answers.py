"""Answers that PostgreSQL builds as JSON, so that a read is one statement and no row becomes an object.

Routes send the JSON as it is. The tests validate every answer against its documented shape. See decision 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, bindparam, cast, func, literal_column, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from app.domain.errors import FieldError, Invalid
from app.store.statements import Statement, Statements

_UTC: ColumnElement[str] = literal_column("'UTC'")
_STAMP: ColumnElement[str] = literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'""")


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for, in the list's own order; by default all of it."""

    limit: int | None = None
    before: UUID | None = None
    after: UUID | None = None


@dataclass(frozen=True)
class Listed:
    """A list as JSON. `edge` is the id after which the next page begins; None if there is no more."""

    body: bytes
    edge: UUID | None = None

    @property
    def is_empty(self) -> bool:
        return self.body == b"[]"


def made_of(**fields: Any) -> ColumnElement[Any]:
    """A JSON object with these keys."""
    pairs: Iterable[tuple[Any, Any]] = (
        (literal_column(f"'{name}'"), value) for name, value in fields.items()
    )
    return func.json_build_object(*chain.from_iterable(pairs))


def stamp(column: Any) -> ColumnElement[str]:
    """A timestamp as `2026-11-23T04:15:00.123456Z`, like `domain.values.stamp`; null stays null."""
    return func.to_char(func.timezone(_UTC, column), _STAMP)


def array_of(body: ColumnElement[Any], order: Sequence[Any]) -> ColumnElement[Any]:
    """All rows as one JSON array, `[]` if there are none."""
    return func.coalesce(func.json_agg(aggregate_order_by(body, *order)), literal_column("'[]'::json"))


def as_text(body: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(body, Text)


async def one(statements: Statements, query: Statement, **values: Any) -> bytes | None:
    """The answer of `query`, or None if it has no row. `values` are its bound parameters."""
    row = await statements.row(query, values)
    return None if row is None else row[0].encode()


class Listing:
    """A list that clients read whole or in pages."""

    def __init__(
        self,
        query: Select[UUID, Any],
        order: Sequence[InstrumentedAttribute[Any]],
        *,
        newest_first: bool = False,
    ) -> None:
        """`query` selects the id and the JSON object of each row. Its conditions include the owner; their
        values are bound parameters."""
        ident, body = query.selected_columns
        ordered = [column.desc() if newest_first else column.asc() for column in order]
        whole = query.with_only_columns(as_text(array_of(body, ordered)), maintain_column_froms=True)
        place = query.with_only_columns(*order).where(ident == bindparam("cursor"))
        self._whole, self._place = Statement(whole), Statement(place)
        self._rows: Select[UUID, str] = query.with_only_columns(ident, as_text(body))
        self._order = order
        self._newest_first = newest_first

    async def read(self, statements: Statements, page: Page, **values: UUID) -> Listed:
        """Read the list or a page of it. `values` are the bound parameters. Raises Invalid if `before` or
        `after` is not in the list."""
        if page == Page():
            body = await one(statements, self._whole, **values)
            assert body is not None, "an aggregate is always there"
            return Listed(body)
        return await self._page(statements, page, values)

    async def _page(self, statements: Statements, page: Page, values: Mapping[str, UUID]) -> Listed:
        query = self._rows
        here = tuple_(*self._order)
        for name, cursor in (("before", page.before), ("after", page.after)):
            if cursor is not None:
                there = tuple_(*await self._position(statements, name, cursor, values))
                behind = (name == "after") is not self._newest_first
                query = query.where(here > there if behind else here < there)
        backwards = page.before is not None and page.after is None and page.limit is not None
        falling = self._newest_first is not backwards
        query = query.order_by(*(column.desc() if falling else column.asc() for column in self._order))
        if page.limit is not None:
            query = query.limit(page.limit + 1)
        rows = await statements.rows(Statement(query), values)
        edge = None
        if page.limit is not None and len(rows) > page.limit:
            rows = rows[: page.limit]
            edge = rows[-1][0]
        if backwards:
            rows.reverse()
        return Listed(f"[{','.join(row[1] for row in rows)}]".encode(), edge)

    async def _position(
        self, statements: Statements, name: str, cursor: UUID, values: Mapping[str, UUID]
    ) -> Sequence[Any]:
        """The position of an id in the list. Raises Invalid if it is not in the list."""
        found = await statements.row(self._place, {**values, "cursor": cursor})
        if found is None:
            message = "names nothing in this list"
            raise Invalid(f"{name}: {message}.", errors=[FieldError(name, message)])
        return tuple(found)

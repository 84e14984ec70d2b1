"""The durable steps of a run: results that are stored, under the worker's fence, before they are used."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, Text, Uuid, bindparam, cast, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.spending import BILL, BILL_PARAMETERS, Bill, billed
from app.store.statements import Statement, Statements
from app.store.tables import ANSWERED, RunStep

_COLUMNS = ("run_id", "key", "kind", "agent", "model", "asked", "digest", "payload", "tree")


async def find(session: AsyncSession, run_id: UUID, key: str) -> RunStep | None:
    """The run's step with that key."""
    return (await session.scalars(_FIND, {"run": run_id, "key": key})).one_or_none()


_FIND = select(RunStep).where(RunStep.run_id == bindparam("run"), RunStep.key == bindparam("key"))


async def keys(session: AsyncSession, run_id: UUID) -> Sequence[str]:
    return (await session.scalars(_KEYS, {"run": run_id})).all()


_KEYS = select(RunStep.key).where(RunStep.run_id == bindparam("run"))


async def last_tree(session: AsyncSession, run_id: UUID, prefix: str) -> str | None:
    """The tree of the last step that has one and whose key begins with `prefix`."""
    tree: str | None = await session.scalar(
        select(RunStep.tree)
        .where(
            RunStep.run_id == run_id,
            RunStep.key.startswith(prefix, autoescape=True),
            RunStep.tree.is_not(None),
        )
        .order_by(RunStep.id.desc())
        .limit(1)
    )
    return tree


async def replace(session: AsyncSession, step: RunStep) -> None:
    """Store a step in a unit. A step with the same key is replaced and becomes the newest."""
    await session.execute(_REPLACE, _values(step))


_NEW = insert(RunStep)
_REPLACE = _NEW.on_conflict_do_update(
    index_elements=["run_id", "key"],
    set_={name: _NEW.excluded[name] for name in (*_COLUMNS, "id", "created_at")},
)


async def store(statements: Statements, step: RunStep, fence: int, bill: Bill | None) -> bool:
    """Store a step as `replace` does, with the bill of its answer, and reset the run's count of claims. One
    atomic statement. Returns False, and changes nothing, if the run belongs to another worker or is over."""
    values = {**_values(step), "run": step.run_id, "fence": fence}
    if bill is not None:
        values |= billed(bill.attempt, ANSWERED, bill.used, bill.latency_ms)
    statement = _STORE if bill is None else _STORE_WITH_BILL
    return await statements.row(statement, values) is not None


def _values(step: RunStep) -> Mapping[str, Any]:
    return {name: getattr(step, name) for name in _COLUMNS}


def _store(*more: str, also: Sequence[BindParameter[Any]] = ()) -> Statement:
    columns = ", ".join(_COLUMNS)
    taken = ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS, "id", "created_at"))
    parts = (
        f"""stored as (
        insert into run_steps ({columns}) select {", ".join(f":{name}" for name in _COLUMNS)} from held
        on conflict (run_id, key) do update set {taken}
    ), got_on as (
        update runs set claims = 0 from held where runs.id = :run and claims <> 0
    )""",  # noqa: S608 - made of constants
        *more,
    )
    written = text(
        f"""
    with held as (
        select jobs.id from jobs join runs on runs.job_id = jobs.id
        where runs.id = :run and runs.fence = :fence and runs.state = 'ready'
        for no key update of jobs, runs
    ), {", ".join(parts)}
    select id from held
    """  # noqa: S608 - made of constants
    ).bindparams(
        *(bindparam(name, type_=Uuid()) for name in ("run", "run_id")),
        *(bindparam(name, type_=Text()) for name in _COLUMNS if name != "run_id"),
        bindparam("fence", type_=BigInteger()),
        *also,
    )
    return Statement(written)


_STORE = _store()
_STORE_WITH_BILL = _store(BILL, also=BILL_PARAMETERS)


async def set_aside(session: AsyncSession, run_id: UUID, prefix: str) -> None:
    """Rename steps that could not be used, so that a retry makes them again. A tape still has them."""
    await session.execute(
        update(RunStep)
        .where(RunStep.run_id == run_id, RunStep.key.startswith(prefix, autoescape=True))
        .where(~RunStep.key.contains("~"))
        .values(key=RunStep.key + "~" + cast(RunStep.id, Text))
    )

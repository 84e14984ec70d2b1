"""The migrations make exactly the tables that the code declares, and can be run again."""

from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import open_engine
from app.store.migrate import _config, migrate
from app.store.revision import is_newest
from app.store.tables import Base
from tests.helpers.house import House

FACTS = text(
    """
    with ours as (
        select oid, relname, relkind from pg_class
        where relnamespace = 'public'::regnamespace and relname !~ '^alembic_version'
    )
    select format('%s.%s: %s', relname, attname, concat_ws(
        ' ', format_type(atttypid, atttypmod), case when attnotnull then 'not null' end,
        'collation ' || nullif(attcollation, 0)::regcollation,
        'identity ' || nullif(attidentity::text, ''), 'generated ' || nullif(attgenerated::text, ''),
        'default ' || pg_get_expr(adbin, adrelid)
    ))
    from ours join pg_attribute on attrelid = ours.oid and attnum > 0 and not attisdropped
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relkind = 'r'
    union all
    select format('%s: constraint %s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
    from ours join pg_constraint on conrelid = ours.oid
    union all
    select pg_get_indexdef(oid) from ours where relkind = 'i'
    union all
    select format('sequence %s: %s', relname, row(
        seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle
    ))
    from ours join pg_sequence on seqrelid = ours.oid
    union all
    select format('%s: trigger %s', relname, pg_get_triggerdef(pg_trigger.oid))
    from ours join pg_trigger on tgrelid = ours.oid where not tgisinternal
    """
)
"""What PostgreSQL itself says of each column, constraint, index, sequence and trigger."""


async def facts(connection: AsyncConnection) -> set[str]:
    return set(await connection.scalars(FACTS))


async def test_migrations_and_tables_are_in_step(database_url: str) -> None:
    await migrate(database_url)
    engine = open_engine(database_url)
    async with engine.connect() as connection:
        migrated = await facts(connection)
        await connection.execute(text("drop schema public cascade"))
        await connection.execute(text("create schema public"))
        await connection.run_sync(Base.metadata.create_all)
        declared = await facts(connection)
    await engine.dispose()
    assert len(declared) > 200
    assert sorted(migrated - declared) == []
    assert sorted(declared - migrated) == []


async def test_a_run_that_waits_still_does_so_after_the_upgrade(house: House) -> None:
    """0010 takes apart what `described` said until then."""
    for _ in range(3):
        await house.create()
    async with house.resources.engine.begin() as connection:
        await connection.run_sync(lambda inner: command.downgrade(_config(inner), "0009"))
        for number, (state, described) in enumerate(
            [("waiting", ""), ("ready", "building:0:waiting"), ("failed", "building:1:waiting")]
        ):
            old = "update runs set state = :state, described = :described where id = ({})".format(
                f"select id from runs order by id offset {number} limit 1"
            )
            await connection.execute(text(old), {"state": state, "described": described})
        await connection.run_sync(lambda inner: command.upgrade(_config(inner), "head"))
        found = await connection.execute(
            text(
                "select state, described, runs.waiting_for, jobs.waiting_for"
                " from runs join jobs on jobs.id = job_id order by runs.id"
            )
        )
    assert [tuple(row) for row in found] == [
        ("waiting", "", "answer", "answer"),
        ("ready", "building:0", "place", "place"),
        ("failed", "building:1", "", ""),
    ]


async def test_whether_it_is_up_to_date_is_known_without_migrating(database_url: str) -> None:
    assert await is_newest(database_url)
    engine = open_engine(database_url)
    for change in ("update alembic_version set version_num = '0001'", "drop table alembic_version"):
        async with engine.begin() as connection:
            await connection.execute(text(change))
        assert not await is_newest(database_url)
    await engine.dispose()
    assert not await is_newest("postgresql://127.0.0.1:1/x")

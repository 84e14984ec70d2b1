"""The migrations make exactly the tables of `app/store/tables.py`, and can be run again."""

from app.store.database import open_engine
from app.store.migrate import drift, migrate


async def test_migrations_and_tables_are_in_step(database_url: str) -> None:
    await migrate(database_url)
    engine = open_engine(database_url)
    async with engine.connect() as connection:
        assert await drift(connection) == []
    await engine.dispose()

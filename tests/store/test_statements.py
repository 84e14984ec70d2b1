"""Single statements without an explicit transaction."""

import os
import signal

import pytest
from sqlalchemy import text

from app.store.database import has_unread
from app.store.statements import Statement
from tests.house import House

WHO = Statement(text("select pg_backend_pid() as pid"))


@pytest.mark.may_block
async def test_a_connection_that_ended_unseen_is_replaced(house: House) -> None:
    async with house.resources.statement() as connection:
        before = await connection.row(WHO, {})
        driver = connection._driver._con
    assert before
    os.kill(before["pid"], signal.SIGTERM)
    while not has_unread(driver):  # the event loop, which would read it, is blocked meanwhile
        pass
    async with house.resources.statement() as connection:
        after = await connection.row(WHO, {})
    assert after
    assert after != before


async def test_a_statement_commits_by_itself(house: House) -> None:
    change = Statement(text("update users set name = :name").bindparams(name=""))
    async with house.resources.statement() as connection:
        await connection.row(change, {"name": "Grace"})
    async with house.resources.read() as other:
        assert await other.scalar(text("select name from users")) == "Grace"

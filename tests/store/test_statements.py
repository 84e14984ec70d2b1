"""Single statements without an explicit transaction."""

import os
import signal

import pytest
from sqlalchemy import text

from app.store.database import has_unread
from app.store.statements import Statement
from tests.helpers.house import House

WHO = Statement(text("select pg_backend_pid() as pid"))


@pytest.mark.may_block
async def test_a_connection_that_ended_unseen_is_replaced(house: House) -> None:
    async with house.resources.statements() as statements:
        before = await statements.row(WHO, {})
        driver = statements._driver._con
    assert before
    os.kill(before["pid"], signal.SIGTERM)
    while not has_unread(driver):  # the event loop, which would read it, is blocked meanwhile
        pass
    async with house.resources.statements() as statements:
        after = await statements.row(WHO, {})
    assert after
    assert after != before


async def test_a_statement_commits_by_itself(house: House) -> None:
    change = Statement(text("update users set name = :name").bindparams(name=""))
    async with house.resources.statements() as statements:
        await statements.row(change, {"name": "Grace"})
    async with house.resources.look() as session:
        assert await session.scalar(text("select name from users")) == "Grace"

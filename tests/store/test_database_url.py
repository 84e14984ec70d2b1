"""DATABASE_URL as libpq reads it: its words work as they are meant or are refused, for all who connect."""

from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from app.database_url import Address, BadDatabaseUrl, parse
from app.settings import BadSettings, load_settings
from app.store.connecting import connect, socket_of
from app.store.database import open_engine
from app.store.migrate import migrate
from app.store.statements import open_statements
from app.store.usable import UnusableDatabase, require_usable, require_usable_if_there
from tests.store.doors import certificate, pooler, tls_door


def address(*hosts: tuple[str, int], **more: object) -> Address:
    return Address(hosts, **{"user": "u", "password": "p", "database": "d", **more})  # type: ignore[arg-type]


ONE = ("h", 5432)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("postgresql://u:p@h/d", address(ONE)),
        ("postgres://u:p@h:5433/d?", address(("h", 5433))),
        ("postgresql+asyncpg://u:p%40%2F@h/d", address(ONE, password="p@/")),
        ("postgresql://u:a/b#c?d@h/d", address(ONE, password="a/b#c?d")),
        ("postgresql://u:p@h1:1,h2,[::1]:3/d", address(("h1", 1), ("h2", 5432), ("::1", 3))),
        ("postgresql:///d?host=h1,h2&port=1,2&user=u&password=p", address(("h1", 1), ("h2", 2))),
        ("postgresql://u:p@%2Fvar%2Frun/d", address(("/var/run", 5432))),
        ("postgresql://u:p@/d?host=/var/run", address(("/var/run", 5432))),
        ("postgresql://u:p@[::1]/d", address(("::1", 5432))),
        ("postgresql://u:p@/d", address()),
        ("postgresql://", address(user=None, password=None, database=None)),
        ("postgresql://u:p@h/d?sslmode=require", address(ONE, words={"sslmode": "require"})),
        ("postgresql://u:p@h/d?ssl=true", address(ONE, words={"sslmode": "require"})),
        ("postgresql://u:p@h/d?ssl=prefer", address(ONE, words={"sslmode": "prefer"})),
        ("postgresql://u:p@h/d?sslmode=require&channel_binding=prefer&sslsni=1&gssencmode=disable",
         address(ONE, words={"sslmode": "require"})),
        ("postgresql://u:p@h/d?sslmode=require&channel_binding=require",
         address(ONE, words={"sslmode": "verify-full", "sslrootcert": "system"})),
        ("postgresql://u:p@h/d?sslrootcert=system",
         address(ONE, words={"sslmode": "verify-full", "sslrootcert": "system"})),
        ("postgresql://u:p@h/d?application_name=a%20b&options=-c%20x%3D1",
         address(ONE, server_settings={"application_name": "a b", "options": "-c x=1"})),
        ("postgresql://u:p@h/d?fallback_application_name=f",
         address(ONE, server_settings={"application_name": "f"})),
        ("postgresql://u:p@h/d?connect_timeout=10", address(ONE, timeout_s=10)),
        ("postgresql://u:p@h/d?connect_timeout=1", address(ONE, timeout_s=2)),
        ("postgresql://u:p@h/d?connect_timeout=0", address(ONE, timeout_s=inf)),
        ("postgresql://u:p@h/d?target_session_attrs=read-write&load_balance_hosts=random",
         address(ONE, words={"target_session_attrs": "read-write"}, any_order=True)),
        ("postgresql://u:p@h/d?keepalives_idle=30&client_encoding=UTF-8",
         address(ONE, sockets={"keepalives_idle": 30})),
    ],
)  # fmt: skip
def test_what_an_address_means(url: str, meant: Address) -> None:
    assert parse(url) == meant


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("?sslmod=require", "'sslmod' is no word that PostgreSQL knows"),
        ("?pgbouncer=true", "'pgbouncer' is no word"),
        ("?sslmode=always", "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("?sslmode", "after the question mark are words with their values"),
        ("?sslmode=disable&channel_binding=require", "channel_binding=require needs TLS"),
        ("?sslmode=require&sslrootcert=system", "sslrootcert=system needs sslmode=verify-full"),
        ("?sslrootcert=/nowhere.pem", "sslrootcert names a file that is not there"),
        (
            "?target_session_attrs=standby",
            "target_session_attrs is one of any, read-write, primary here, as we",
        ),
        ("?connect_timeout=soon", "connect_timeout is a number"),
        (
            "?require_auth=scram-sha-256",
            "require_auth is a word of PostgreSQL's that our driver does not know",
        ),
        ("?client_encoding=latin1", "client_encoding is one of"),
        ("?replication=database", "replication is one of"),
        ("?host=a,b&port=1,2,3", "there are 2 hosts and 3 ports"),
        ("?port=0", "a port is a number from 1 to 65535"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(
    rest: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:secret@db.example/d{rest}")
    with pytest.raises(BadSettings, match=f"^DATABASE_URL: {why}") as raised:
        load_settings()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["host=h dbname=d", "mysql://u:secret@h/d", "h/d", "postgresql://u:secret@h:x/d"]
)
def test_what_is_no_address_is_refused_in_words(url: str) -> None:
    with pytest.raises(BadDatabaseUrl, match=r"form postgresql://|a host is a name") as raised:
        parse(url)
    assert "secret" not in str(raised.value)


@pytest.fixture
def plain(database_url: str) -> str:
    """The test's database, without the words that come with the embedded one's address."""
    return database_url.partition("?")[0]


def port_of(url: str) -> int:
    return parse(url).hosts[0][1]


@pytest.fixture
async def behind_tls(plain: str, tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The address of a PostgreSQL that takes TLS only, as `localhost`, and its certificate."""
    proof = certificate(tmp_path, "localhost")
    async with tls_door(port_of(plain), proof) as port:
        yield plain.replace(f"127.0.0.1:{port_of(plain)}", f"localhost:{port}"), proof


async def facts(url: str) -> set[tuple[str, str]]:
    """What all three kinds of connection say of their application and their longest statement."""
    asked = "select current_setting('application_name'), current_setting('statement_timeout')"
    found: set[tuple[str, str]] = set()
    engine = open_engine(url)
    async with engine.connect() as connection:
        found.add(tuple((await connection.execute(text(asked))).one()))
    await engine.dispose()
    for read_only in (True, False):
        async with open_statements(url, read_only=read_only) as statements, statements.open() as one:
            found.add(tuple(await one._driver.fetchrow(asked)))
            assert await one._driver.fetchval("show default_transaction_read_only") == (
                "on" if read_only else "off"
            )
    return found


HOSTED = "sslmode=require&application_name=of+ours&connect_timeout=5&options=-c%20statement_timeout%3D7s"


async def test_the_address_of_a_hosted_database_works(behind_tls: tuple[str, Path]) -> None:
    url, proof = behind_tls
    await migrate(f"{url}?{HOSTED}")
    assert await facts(f"{url}?{HOSTED}") == {("of ours", "7s")}
    assert await facts(f"{url}?{HOSTED}&sslrootcert={proof}".replace("require", "verify-full")) == {
        ("of ours", "7s")
    }


@pytest.mark.parametrize(
    "words",
    ["sslmode=disable", "sslmode=verify-full&sslrootcert={other}", "sslmode=require&channel_binding=require"],
)
async def test_tls_is_as_strict_as_it_says(behind_tls: tuple[str, Path], words: str, tmp_path: Path) -> None:
    words = words.format(other=certificate(tmp_path, "other.example"))
    with pytest.raises(UnusableDatabase, match=r"PostgreSQL at localhost:.* cannot be used: "):
        await migrate(f"{behind_tls[0]}?{words}")


async def test_no_variable_of_the_shell_counts_for_the_embedded_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = {
        "PGSSLMODE": "require",
        "PGSSLNEGOTIATION": "direct",
        "PGTARGETSESSIONATTRS": "standby",
        "PGGSSLIB": "none",
        "PGHOST": "db.example",
        "PGPORT": "1",
        "PGUSER": "somebody",
        "PGPASSWORD": "else",
        "PGDATABASE": "elsewhere",
        "PGSERVICE": "hosted",
        "PGSSLROOTCERT": "/nowhere.pem",
    }
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    await migrate(database_url)
    assert await facts(database_url) == {("", "0")}


async def test_the_first_host_that_has_what_is_asked_for_is_taken(plain: str) -> None:
    own = f"127.0.0.1:{port_of(plain)}"
    admin = await asyncpg.connect(plain)
    name = parse(plain).database
    await admin.execute(f"alter database {name} set default_transaction_read_only = on")
    several = plain.replace(own, f"127.0.0.1:1,{own}")
    await (await connect(parse(f"{several}?sslmode=disable"))).close()
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(parse(f"{several}?target_session_attrs=read-write"))
    await admin.execute(f"alter database {name} reset default_transaction_read_only")
    found = await connect(parse(f"{several}?target_session_attrs=read-write&keepalives_idle=33"))
    assert socket_of(found).getsockopt(6, 4) == 33  # TCP_KEEPIDLE
    await found.close()
    await admin.close()


async def test_a_pooler_in_transaction_mode_is_refused(plain: str) -> None:
    async with pooler(port_of(plain)) as port:
        pooled = plain.replace(f":{port_of(plain)}/", f":{port}/")
        for check in (migrate, require_usable, require_usable_if_there):
            with pytest.raises(UnusableDatabase, match="is a connection pooler in transaction mode"):
                await check(pooled)


async def test_what_cannot_be_used_is_said(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = plain.replace("@", "x@")
    for url, words in (
        (wrong, "password authentication failed.*Check the password"),
        (f"{plain}x", "does not exist. Make the database"),
        (plain.replace(f":{port_of(plain)}/", ":1/"), "127.0.0.1:1 cannot be used: .*Connect call failed"),
    ):
        with pytest.raises(UnusableDatabase, match=words):
            await migrate(url)
    await require_usable_if_there(plain.replace(f":{port_of(plain)}/", ":1/"))  # it may come
    with pytest.raises(UnusableDatabase, match="password"):
        await require_usable_if_there(wrong)
    monkeypatch.setenv("PGSSLMODE", "always")
    with pytest.raises(UnusableDatabase, match="sslmode"):
        await require_usable_if_there(plain)

"""Passwords: argon2id with our parameters; a login of an unknown user takes as long."""

import asyncio
import subprocess
import sys
import time

from app.auth.passwords import NOBODY, hash_password, verify_password

PARAMETERS = "$argon2id$v=19$m=19456,t=2,p=1$"


async def test_hash_and_verify() -> None:
    first, second = [await hash_password("pässword 📚") for _ in range(2)]
    assert first != second
    assert first.startswith(PARAMETERS)
    assert await verify_password("pässword 📚", first)
    assert not await verify_password("password 📚", first)


async def test_several_passwords_at_once_in_a_new_process() -> None:
    """That is when passlib loads its back end."""
    code = (
        "import asyncio; from app.auth.passwords import hash_password\n"
        "async def some(): await asyncio.gather(*(hash_password('a password') for _ in range(4)))\n"
        "asyncio.run(some())"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


async def test_an_unknown_user_has_no_password() -> None:
    assert NOBODY.startswith(PARAMETERS)
    assert not await verify_password("hello", None)


async def test_an_unknown_user_takes_as_long_as_a_known_one() -> None:
    stored = await hash_password("a password")
    spent: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(12):
        for known in spent:
            began = time.process_time()
            await verify_password("a wrong one", stored if known else None)
            spent[known].append(time.process_time() - began)
    somebody, nobody = (sorted(spent[known])[6] for known in (True, False))
    assert 0.5 < nobody / somebody < 2

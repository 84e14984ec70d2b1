"""Passwords: argon2id with OWASP's parameters (19 MiB, two passes, one lane), in threads of their own.

Source: OWASP Password Storage Cheat Sheet. One hash takes about 35 ms of a core. There are only two threads
for them, so that many logins at once slow down logins and not reads.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from passlib.hash import argon2

_HASHER = argon2.using(type="ID", memory_cost=19_456, time_cost=2, parallelism=1)
_EXECUTOR = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_LOADING = Lock()

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$ltLa+99by/lfyznHuNd6zw$DmXxYHqqiNbLnOBBYq9H+lb7CTfweNEyNBVUHU81Fwk"
"""The hash that is checked for an unknown user, so that an unknown email takes as long as a wrong
password."""


async def hash_password(password: str) -> str:
    """The hash to store. It contains the salt and the parameters."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, _hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether `password` fits the hash `stored`. None (an unknown user) takes as long and is always False."""
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(_EXECUTOR, _verify, password, stored or NOBODY)
    return fits and stored is not None


def _hash(password: str) -> str:
    _load()
    hashed: str = _HASHER.hash(password)
    return hashed


def _verify(password: str, stored: str) -> bool:
    _load()
    fits: bool = _HASHER.verify(password, stored)
    return fits


def _load() -> None:
    """passlib loads its back end with the first password. It breaks if two threads do so at once, and also if
    the method was looked up before and is called after."""
    with _LOADING:
        _HASHER.get_backend()

"""Passwords: argon2id with OWASP's parameters (19 MiB, two passes, one lane), in threads of their own.

Source: OWASP Password Storage Cheat Sheet. One hash takes about 35 ms of a core. There are only two threads
for them, so that many logins at once slow down logins and not reads.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from passlib.hash import argon2

_HASHER = argon2.using(type="ID", memory_cost=19_456, time_cost=2, parallelism=1)
_EXECUTOR = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$ltLa+99by/lfyznHuNd6zw$DmXxYHqqiNbLnOBBYq9H+lb7CTfweNEyNBVUHU81Fwk"
"""The hash that is checked for an unknown user, so that an unknown email takes as long as a wrong
password."""


async def hash_password(password: str) -> str:
    """The hash to store. It contains the salt and the parameters."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, _HASHER.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether `password` fits the hash `stored`. None (an unknown user) takes as long and is always False."""
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(_EXECUTOR, _HASHER.verify, password, stored or NOBODY)
    return fits and stored is not None

"""Passwords: argon2id with OWASP's parameters (19 MiB, two passes, one lane), off the event loop.

Source: OWASP Password Storage Cheat Sheet. One hash costs about 35 ms of a core; the executor's two threads
are all that passwords ever get, so that a storm of logins slows logins and not reads.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from passlib.hash import argon2

_HASHER = argon2.using(type="ID", memory_cost=19_456, time_cost=2, parallelism=1)  # type: ignore[no-untyped-call]
_EXECUTOR = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$ltLa+99by/lfyznHuNd6zw$DmXxYHqqiNbLnOBBYq9H+lb7CTfweNEyNBVUHU81Fwk"
"""Checked in place of an unknown user's hash, so that unknown emails take as long as wrong passwords."""


async def hash_password(password: str) -> str:
    """The hash to store, salt and parameters included."""
    return await asyncio.get_running_loop().run_in_executor(_EXECUTOR, _HASHER.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether `password` is the one behind `stored`; None (nobody) takes as long and is always False."""
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(_EXECUTOR, _HASHER.verify, password, stored or NOBODY)
    return fits and stored is not None

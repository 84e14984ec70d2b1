"""Registering, renewing and looking at a session over HTTP."""

from typing import Any
from uuid import uuid4

import httpx

from tests.helpers.service import PASSWORD


def new_person(**more: str) -> dict[str, str]:
    return {"email": f"{uuid4().hex}@example.org", "password": PASSWORD, **more}


async def register(client: httpx.AsyncClient, **more: str) -> dict[str, Any]:
    answer = await client.post("/api/auth/register/", json=new_person(**more))
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def renew(client: httpx.AsyncClient, refresh: str) -> httpx.Response:
    return await client.post("/api/auth/token/refresh/", json={"refresh": refresh})


async def me(client: httpx.AsyncClient, access: str) -> httpx.Response:
    return await client.get("/api/auth/me/", headers={"Authorization": f"Bearer {access}"})

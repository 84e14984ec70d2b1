"""The bare alternative to our reads: FastAPI, asyncpg and orjson, and nothing of what a service needs.

uvicorn bench.bare:app, with DATABASE_URL
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, Request, Response

QUERIES = {
    "job": "select * from jobs where id = $1",
    "jobs": "select * from jobs where user_id = $1 order by id desc limit 50",
    "tickets": 'select * from tickets where job_id = $1 order by "order"',
    "messages": "select * from messages where job_id = $1 order by position",
}


@asynccontextmanager
async def _serving(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_serving)


@app.get("/{what}/{key}")
async def read(request: Request, what: str, key: UUID) -> Response:
    rows = await request.app.state.pool.fetch(QUERIES[what], key)
    return Response(orjson.dumps([dict(row) for row in rows], default=_text), media_type="application/json")


def _text(value: Any) -> str:
    return str(value)

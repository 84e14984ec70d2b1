"""The bare alternative to our sockets: `websockets.broadcast` of what Redis publishes and of what one SELECT
finds, and nothing of what a service needs.

python -m bench.bare_stream      with DATABASE_URL and REDIS_URL; prints its port and serves until stopped
"""

import os
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import uvloop
from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection, broadcast, serve

from app.events.redis import CHANNEL

MISSED = "select payload from job_events where job_id = $1 and seq > $2 order by seq"


async def main() -> None:
    rooms: dict[str, set[ServerConnection]] = defaultdict(set)

    async def follow(socket: ServerConnection) -> None:
        assert socket.request
        address = urlsplit(socket.request.path)
        job_id = address.path.split("/")[3]
        if since := parse_qs(address.query).get("since"):
            for row in await pool.fetch(MISSED, UUID(job_id), int(since[0])):
                broadcast([socket], row["payload"])
        rooms[job_id].add(socket)
        await socket.wait_closed()
        rooms[job_id].discard(socket)

    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"]) as pool,
        Redis.from_url(os.environ["REDIS_URL"]) as redis,
        redis.pubsub() as published,
        serve(follow, "127.0.0.1", 0, compression=None) as server,
    ):
        await published.psubscribe(f"{CHANNEL}*")
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        async for message in published.listen():
            if message["type"] == "pmessage":
                job_id = message["channel"].decode().removeprefix(CHANNEL)
                broadcast(rooms[job_id], message["data"].decode().partition(" ")[2])


if __name__ == "__main__":
    uvloop.run(main())

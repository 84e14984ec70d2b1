"""An engine whose filters return more than was asked for, as Podman's do."""

import asyncio
import json
from pathlib import Path

from app.runtime.docker.engine import Engine

OURS, OTHERS = {"instance": "a", "job": "1"}, {"instance": "a", "job": "2"}
VOLUMES = {
    "ApiVersion": "1.41",  # the same answer serves all calls
    "Volumes": [
        {"Name": "ours", "Labels": OURS},
        {"Name": "others", "Labels": OTHERS},
        {"Name": "bare", "Labels": None},
    ],
}


async def test_only_objects_with_all_labels_are_found(tmp_path: Path) -> None:
    body = json.dumps(VOLUMES).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    place = tmp_path / "engine.sock"
    engine = Engine(f"unix://{place}")
    async with await asyncio.start_unix_server(answer, place):
        assert await engine.volumes(OURS) == {"ours": OURS}
        assert set(await engine.volumes({"job": ""})) == {"ours", "others"}
        await engine.close()

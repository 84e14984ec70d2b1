"""A small HTTP client for servers inside the box, over the loopback."""

import asyncio
import socket
import time

from .process import Command

MAX_ANSWER = 4 * 1024 * 1024
MAX_BODY = 65_536
POLL_S = 0.05


async def connect(port: int) -> socket.socket | None:
    """A connection to 127.0.0.1 or ::1 at `port`; None if nothing listens there."""
    loop = asyncio.get_running_loop()
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, (host, port))
        except OSError:
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
        else:
            return connection
    return None


def free_port(wanted: int = 0) -> int:
    """`wanted` if it is free, otherwise any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port() if wanted else 0
        port: int = probe.getsockname()[1]
        return port


async def request(
    port: int, method: str, path: str, body: bytes | None, timeout_s: float
) -> tuple[int, bytes]:
    """Make one HTTP request: (status, the first 64 KiB of the body). Status 0 if there is no valid answer
    within `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _request(port, method, path, body)
    except (TimeoutError, OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        return 0, b""


async def _request(port: int, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    connection = await connect(port)
    if connection is None:
        return 0, b""
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", "Accept: */*"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        return status, (await _body(reader, headers))[:MAX_BODY]
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        whole = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(whole) + size > MAX_ANSWER:
                raise ValueError("the answer is too long")
            whole += (await reader.readexactly(size + 2))[:size]
        return bytes(whole)
    length = min(int(headers.get("content-length", MAX_ANSWER)), MAX_ANSWER)
    whole = bytearray()
    while len(whole) < length and (piece := await reader.read(length - len(whole))):
        whole += piece
    return bytes(whole)


async def answers(command: Command, port: int, health: str, timeout_s: float) -> bool:
    """Wait until the server that `command` started answers `health` with a status below 500. False if it
    ends, or after `timeout_s`."""
    end = time.monotonic() + timeout_s
    while not command.over.done() and (left := end - time.monotonic()) > 0:
        status, _ = await request(port, "GET", health, None, min(5.0, left))
        if 0 < status < 500:
            return True
        await asyncio.wait([command.over], timeout=POLL_S)
    return False

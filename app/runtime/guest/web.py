"""A small HTTP client for servers inside the box, over the loopback."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .process import Command

MAX_ANSWER = 4 * 1024 * 1024
MAX_BODY = 65_536
MAX_HEADERS, MAX_HEAD = 100, 8192
POLL_S, SOON_S, FIRST_S = 0.05, 0.01, 1.0
"""Seconds between two questions whether an app answers: `SOON_S` in the `FIRST_S`, when most begin to."""


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


@dataclass(frozen=True)
class Answer:
    """Status 0 means that there was no valid answer. `headers` are (lower-case name, value) in their order;
    `body` is its first 64 KiB, and `cut` says that there was more."""

    status: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    cut: bool = False

    @property
    def head(self) -> list[str]:
        """The headers as lines, as far as they have room."""
        lines, room = [], MAX_HEAD
        for name, value in self.headers[:MAX_HEADERS]:
            line = f"{name}: {value}"
            room -= len(line)
            if room < 0:
                break
            lines.append(line)
        return lines


class Jar:
    """The cookies of one client and one server. Their paths, domains and times are not looked at, but for
    cookies that are taken back."""

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def take(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name == "set-cookie":
                self._take(value)

    def _take(self, line: str) -> None:
        pair, *attributes = line.split(";")
        name, _, value = pair.strip().partition("=")
        said = {
            key.strip().lower(): text.strip() for key, _, text in (each.partition("=") for each in attributes)
        }
        gone = said.get("max-age", "1").startswith(("0", "-")) or _is_past(said.get("expires", ""))
        self._cookies.pop(name, None)
        if name and value and not gone and len(self._cookies) < MAX_HEADERS:
            self._cookies[name] = value


def _is_past(date: str) -> bool:
    """Whether a date as HTTP writes it has passed; False if it is none."""
    from email.utils import mktime_tz, parsedate_tz  # noqa: PLC0415 - see `file_calls.zip_all`

    parsed = parsedate_tz(date)
    return parsed is not None and mktime_tz(parsed) < time.time()


async def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one HTTP request. A body is JSON unless `headers` say otherwise."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _request(port, method, path, body, headers or {})
    except (TimeoutError, OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
        return Answer()


async def _request(port: int, method: str, path: str, body: bytes | None, more: Mapping[str, str]) -> Answer:
    connection = await connect(port)
    if connection is None:
        return Answer()
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        sent = {"Host": f"127.0.0.1:{port}", "Connection": "close", "Accept": "*/*"}
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        theirs = {name.lower() for name in more}
        sent = {name: value for name, value in sent.items() if name.lower() not in theirs} | dict(more)
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = _status(head[0])
        headers = [
            (name.strip().lower(), value.strip())
            for name, colon, value in (line.partition(":") for line in head[1:])
            if colon
        ]
        answer = b"" if method == "HEAD" else await _body(reader, dict(headers))
        return Answer(status, headers, answer[:MAX_BODY], len(answer) > MAX_BODY)
    finally:
        writer.close()


def _status(line: str) -> int:
    """The status of a line such as `HTTP/1.1 200 OK`. Raises ValueError if it has none from 100 to 599."""
    word = [*line.split(), "", ""][1]
    if len(word) != 3 or not word.isdecimal() or not 100 <= int(word) <= 599:
        raise ValueError("the answer has no status")
    return int(word)


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
    began = time.monotonic()
    while not command.over.done() and (left := began + timeout_s - time.monotonic()) > 0:
        if 0 < (await request(port, "GET", health, None, min(5.0, left))).status < 500:
            return True
        pause = SOON_S if time.monotonic() < began + FIRST_S else POLL_S
        await asyncio.wait([command.over], timeout=pause)
    return False

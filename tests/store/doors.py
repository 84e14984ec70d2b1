"""What stands between us and a hosted PostgreSQL: TLS, and a pooler in transaction mode, in front of a
PostgreSQL on the loopback. Each is for one test."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
READY, KEY = b"Z", b"K"


@asynccontextmanager
async def _listening(serve: "asyncio.streams._ClientConnectedCallback") -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)  # type: ignore[misc]
        finally:
            await _close(writer)

    door = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield door.sockets[0].getsockname()[1]
    finally:
        door.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certificate(folder: Path, name: str) -> Path:
    """A file with a certificate for `name` that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / f"{name}.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return file


@asynccontextmanager
async def tls_door(port: int, proof: Path) -> AsyncIterator[int]:
    """A port that takes nothing but TLS, with this certificate, and passes on what is inside to `port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(proof)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(8) != SSL_REQUEST:
            return
        writer.write(b"S")
        await writer.start_tls(context)
        there, away = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, away))
                both.create_task(_copy(there, writer))
        finally:
            await _close(away)

    async with _listening(serve) as own:
        yield own


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def pooler(port: int) -> AsyncIterator[int]:
    """A port whose clients share their connections to `port`: each of their transactions runs on the one that
    was free last. Like PgBouncer, it tells clients process numbers of its own."""
    free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    opened: list[asyncio.StreamWriter] = []

    async def until_ready(there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            kind, body = await _message(there)
            if kind == KEY:
                body = struct.pack("!ii", 1, 1)
            writer.write(kind + struct.pack("!i", len(body) + 4) + body)
            if kind == READY:
                return body

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", port)
        opened.append(away)
        if (start := await _start(reader)) == SSL_REQUEST:
            writer.write(b"N")
            start = await _start(reader)
        away.write(start)
        login = asyncio.ensure_future(_copy_messages(reader, away))
        await until_ready(there, writer)
        free.append((there, away))
        first = await login
        while first:
            there, away = free.pop()
            away.write(first)
            # Whatever the client says goes to this server, until its transaction has ended.
            saying = asyncio.ensure_future(_say(reader, away))
            try:
                while await until_ready(there, writer) != b"I":
                    pass
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
            free.append((there, away))
            first = await reader.read(65_536)

    async def _copy_messages(reader: asyncio.StreamReader, away: asyncio.StreamWriter) -> bytes:
        """Pass on the login (messages `p`), and return what comes first after it."""
        while True:
            piece = await reader.read(65_536)
            if not piece.startswith(b"p"):
                return piece
            away.write(piece)

    async with _listening(serve) as own:
        yield own
    for away in opened:
        await _close(away)


async def _say(reader: asyncio.StreamReader, away: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        away.write(piece)


async def _start(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack("!i", head)[0] - 4)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!ci", await reader.readexactly(5))
    return kind, await reader.readexactly(size - 4)

"""Limits for connections whose client never completes a request."""

import asyncio

import pytest

from app.api.wire import http_protocol
from tests.api.connections import MIB, connected, rest
from tests.helpers.service import Person, Service

BEGUN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


async def pour(writer: asyncio.StreamWriter, piece: bytes, most: int) -> int:
    """Send `piece` again and again; the number of bytes sent when the connection was closed."""
    sent = 0
    try:
        while sent < most:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize("piece", [b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["many", "one"])
async def test_a_head_without_end_is_refused(service: Service, piece: bytes) -> None:
    async with connected(service) as (reader, writer):
        writer.write(BEGUN)
        if b"\r\n" not in piece:
            writer.write(b"X-A: ")
        answer = asyncio.create_task(rest(reader))
        assert await pour(writer, piece, 64 * MIB) < 16 * MIB
        await answer


async def test_a_long_head_that_ends_is_answered(service: Service) -> None:
    async with connected(service) as (reader, writer):
        writer.write(BEGUN)
        await writer.drain()
        writer.write(b"X-A: " + b"a" * 50_000 + b"\r\nConnection: close\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 200 ")


CLEARS = b'\r\nclear-site-data: "cookies"\r\n'


@pytest.mark.parametrize(
    ("begun", "clears"),
    [(BEGUN + b"Cookie: a=", True), (b"GET /healthz?", False)],
    ids=["cookies", "address"],
)
async def test_the_refusal_says_why(service: Service, begun: bytes, clears: bool) -> None:
    """All of it is read, however long it is: else a browser would see a connection that was reset. Cookies
    are cleared only where they are the reason: a page of others can make an address long."""
    async with connected(service) as (reader, writer):
        answer = asyncio.create_task(rest(reader))
        for piece in (begun, *[b"a" * 40_000] * 20):
            writer.write(piece)
            await writer.drain()
        told = await answer
        head = told.partition(b"\r\n\r\n")[0]
        assert head.startswith(b"HTTP/1.1 431 ")
        assert (CLEARS in head) is clears
        assert b"\r\nset-cookie:" not in head
        assert b"\r\nconnection: close" in head
        assert b"frame-ancestors" in head
        assert (b"Too many cookies" if clears else b"The request's head is too long.") in told


async def test_what_is_no_http_is_answered_in_our_words(service: Service) -> None:
    async with connected(service) as (reader, writer):
        writer.write(b"NONSENSE\r\n\r\n")
        answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"frame-ancestors 'none'" in answer
    assert b"referrer-policy" in answer


async def test_trailers_without_end_are_refused(service: Service, ada: Person) -> None:
    async with connected(service) as (reader, writer):
        writer.write(
            b"POST /api/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {ada.session['access']}\r\n".encode()
            + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX-A: "
        )
        answer = asyncio.create_task(rest(reader))
        assert await pour(writer, b"a" * 1000, 64 * MIB) < 16 * MIB
        await answer


async def test_a_body_in_chunks_of_a_byte_is_read(service: Service, ada: Person) -> None:
    body = b'{"prompt": "' + b"a" * 4000 + b'"}'
    async with connected(service) as (reader, writer):
        writer.write(
            b"POST /api/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {ada.session['access']}\r\n".encode()
            + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for at in range(len(body)):
            writer.write(b"1\r\n" + body[at : at + 1] + b"\r\n")
            if at % 500 == 0:
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await rest(reader)).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("said", [b"", b"GET", BEGUN], ids=["nothing", "a word", "half a head"])
async def test_a_silent_client_is_disconnected(
    service: Service, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.2)
    async with connected(service) as (reader, writer):
        writer.write(said)
        assert await rest(reader) == b""


async def test_a_slow_trickle_does_not_keep_a_head_open(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.3)
    async with connected(service) as (reader, writer):
        writer.write(BEGUN)
        left = asyncio.create_task(rest(reader))
        while not left.done():
            writer.write(b"X")
            await asyncio.wait([left], timeout=0.05)
        assert await left == b""


async def test_a_second_request_has_its_own_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_S", 0.3)
    async with connected(service) as (reader, writer):
        writer.write(BEGUN + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET /hea")
        assert await rest(reader) == b""


async def test_a_body_that_stops_coming_ends_the_request(
    service: Service, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "BODY_S", 0.2)
    async with connected(service) as (reader, writer):
        writer.write(
            b"POST /api/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {ada.session['access']}\r\n".encode()
            + b'Content-Length: 100\r\n\r\n{"prompt"'
        )
        assert not (await rest(reader)).startswith(b"HTTP/1.1 2")


async def test_a_body_that_goes_on_after_its_answer_is_cut_off(
    service: Service, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_S", 0.2)
    async with connected(service) as (reader, writer):
        writer.write(
            b"POST /api/jobs/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + b"Transfer-Encoding: chunked\r\n\r\n"
        )
        answer = asyncio.create_task(rest(reader))
        piece = b"1000\r\n" + b"a" * 4096 + b"\r\n"
        while not answer.done():
            try:
                writer.write(piece)
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait([answer], timeout=0.01)
        assert (await answer).startswith(b"HTTP/1.1 401 ")

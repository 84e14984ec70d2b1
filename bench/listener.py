"""A WebSocket client that only listens, at a low price: hundreds share the machine with what they measure."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

Heard = Callable[[bytes], None]


class Tally:
    """Counts what is heard."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def __call__(self, text: bytes) -> None:
        self.count += 1
        if self.count == self._wanted:
            self._reached.set()

    async def until(self, count: int, within_s: float = 30) -> None:
        self._wanted = count
        self._reached.clear()
        if self.count < count:
            async with asyncio.timeout(within_s):
                await self._reached.wait()
        assert self.count == count, f"{self.count} instead of {count}"


class Listener(asyncio.Protocol):
    """`heard` is called with every text, `opened` is done once the socket is accepted."""

    def __init__(self, url: str, token: str, heard: Heard) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._peer = ClientProtocol(parse_uri(url), max_size=None)
        self._token = token
        self._heard = heard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        request = self._peer.connect()
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        self._peer.send_request(request)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._peer.receive_data(data)
        for event in self._peer.events_received():
            if isinstance(event, Response):
                self.opened.set_result(None)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._heard(bytes(event.data))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionResetError("closed before it was accepted"))

    def _send(self) -> None:
        """What the protocol answers by itself: pongs, mostly."""
        for data in self._peer.data_to_send():
            self._transport.write(data)


@asynccontextmanager
async def listening(url: str, heard: Heard, token: str = "", sockets: int = 1) -> AsyncIterator[None]:
    """So many sockets to one address, open for as long as the block lasts."""
    where = parse_uri(url)
    transports = []
    try:
        for _ in range(sockets):
            transport, listener = await asyncio.get_running_loop().create_connection(
                lambda: Listener(url, token, heard), where.host, where.port
            )
            transports.append(transport)
            await listener.opened
        yield
    finally:
        for transport in transports:
            transport.close()

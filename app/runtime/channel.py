"""The host's end of an attachment: calls with deadlines to a guest that is not trusted.

Each frame of the guest is checked in `guest.link`. This module detects silence and late answers, and raises
the errors: `FenceLost` if a newer worker has attached, otherwise `BoxDied`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.runtime.answers import Done, S, answer_of
from app.runtime.guest.ends import Sink, Source
from app.runtime.guest.frames import Violation
from app.runtime.guest.link import Link, LinkLost, Stream
from app.runtime.workspace import BoxDied, FenceLost, RuntimeProblem, WorkspaceBusy


@dataclass(frozen=True)
class Patience:
    """Time limits in seconds. `answer_s` is for calls without a deadline of their own."""

    greeting_s: float = 10.0
    ping_s: float = 10.0
    silence_s: float = 45.0
    answer_s: float = 30.0


class Channel:
    """The calls of one attachment. `on_broken` is called once if the guest breaks the protocol or a
    deadline."""

    def __init__(self, link: Link, patience: Patience, on_broken: Callable[[], None]) -> None:
        self._link = link
        self._patience = patience
        self._on_broken = on_broken
        self._reading = asyncio.create_task(self._read())
        self._pinging = asyncio.create_task(self._ping())
        self._broken = ""

    @property
    def open(self) -> bool:
        return self._link.lost is None

    def begin(self, call: str, **args: Any) -> "Exchange":
        """Begin a call. Raises BoxDied, FenceLost, and RuntimeProblem if it does not fit into one frame."""
        try:
            return Exchange(self, self._link, self._link.open({"call": call, **args}))
        except LinkLost as lost:
            raise self.problem(lost) from lost
        except ValueError as error:
            raise RuntimeProblem(f"the call {call} is too long for one frame") from error

    async def ask(
        self,
        shape: type[S],
        call: str,
        *,
        shown: str = "",
        body: bytes | None = None,
        bytes_limit: int = 0,
        deadline_s: float | None = None,
        first: Callable[["Exchange"], Awaitable[None]] | None = None,
        on_data: Callable[[bytes], None] | None = None,
        **args: Any,
    ) -> tuple[S, bytes]:
        """Make a call: its answer and its data. `body` is sent first, then `first` may exchange data with the
        guest before the answer is read. `bytes_limit` bounds the data; `on_data` is called with each piece.
        If the guest refuses the call, an error is raised that names the path `shown`. After `deadline_s`
        seconds the box counts as dead: BoxDied."""
        async with self.begin(call, **args) as exchange:
            with self.believing():
                try:
                    async with asyncio.timeout(deadline_s or self._patience.answer_s):
                        if body is not None:
                            await exchange.send(body)
                            exchange.send_eof()
                        if first is not None:
                            await first(exchange)
                        data = await exchange.read_all(bytes_limit, on_data)
                        return await exchange.answer(shape, shown), data
                except TimeoutError as error:
                    raise self.broken("the guest did not answer in time") from error

    @contextlib.contextmanager
    def believing(self) -> Iterator[None]:
        """A context that turns the errors of a link into BoxDied or FenceLost, and gives a guest up that
        breaks the protocol."""
        try:
            yield
        except LinkLost as lost:
            raise self.problem(lost) from lost
        except Violation as error:
            raise self.broken(f"the guest broke the protocol: {error}") from error

    def problem(self, lost: LinkLost) -> RuntimeProblem:
        """The error to raise for a lost link."""
        if lost.bye == "fence":
            return FenceLost("a newer worker has taken this workspace over")
        return BoxDied(self._broken or str(lost))

    def broken(self, reason: str) -> BoxDied:
        """Give the guest up: close the channel, call `on_broken`, and return the error to raise."""
        if not self._broken:
            self._broken = reason
            self._on_broken()
        self._link.close()
        return BoxDied(reason)

    def end(self, reason: str) -> None:
        """Close the channel because the guest is known to have ended, for `reason`."""
        self._broken = self._broken or f"the guest went away: {reason}"
        self._link.close()

    async def closed(self) -> None:
        """Wait until the guest has closed the connection."""
        await asyncio.wait([self._reading])

    async def close(self) -> None:
        self._link.close()
        self._pinging.cancel()
        await asyncio.wait([self._reading, self._pinging])

    async def _read(self) -> None:
        try:
            await self._link.run()
        except Violation as error:
            self.broken(f"the guest broke the protocol: {error}")
        finally:
            self._pinging.cancel()

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._patience.ping_s)
            # Without a call, the guest may be silent because its box was frozen.
            if self._link.busy() and loop.time() - self._link.heard > self._patience.silence_s:
                self.broken("the guest fell silent")
                return
            self._link.ping()


class Exchange:
    """One running call, a context manager. Leaving it early, by an error or a cancellation, cancels the
    call."""

    def __init__(self, channel: Channel, link: Link, stream: Stream) -> None:
        self._channel = channel
        self._link = link
        self._stream = stream

    async def __aenter__(self) -> "Exchange":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_up()

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        with self._channel.believing():
            return await self._stream.read()

    async def read_all(self, limit: int, on_data: Callable[[bytes], None] | None = None) -> bytes:
        """All data to the end, at most `limit` bytes; `on_data` is called with each piece."""
        with self._channel.believing():
            return await self._stream.read_all(limit, on_data)

    async def send(self, data: bytes) -> None:
        with self._channel.believing():
            await self._stream.send(data)

    def send_eof(self) -> None:
        self._stream.send_eof()

    @property
    def is_cut(self) -> bool:
        """Whether the guest has answered before the end of the data."""
        return self._stream.is_cut

    async def answer(self, shape: type[S], shown: str = "") -> S:
        """The guest's answer. If the guest refused the call, the error for that is raised."""
        with self._channel.believing():
            return answer_of(shape, await self._stream.result(), shown)

    def give_up(self) -> None:
        """Cancel the call, with all that the guest runs for it. Does nothing if it is over."""
        self._link.reset(self._stream)


async def attach(
    reader: Source,
    writer: Sink,
    *,
    fence: int | None,
    call: str = "",
    patience: Patience | None = None,
    on_broken: Callable[[], None] = lambda: None,
) -> Channel:
    """Greet the guest at the other end of a connection. A worker gives its `fence`; `call` is that of
    `guest.main`'s greeting: `stop`, `peek`, `visit` or nothing. Raises FenceLost, WorkspaceBusy (for `stop`),
    BoxDied."""
    patience = patience or Patience()
    link = Link(reader, writer)
    try:
        async with asyncio.timeout(patience.greeting_s):
            await link.greet({"fence": fence, "call": call})
            hello = await link.greeting()
    except (LinkLost, ConnectionError) as error:
        link.close()
        raise BoxDied(f"the guest went away: {error}") from error
    except (TimeoutError, Violation) as error:
        link.close()
        on_broken()
        raise BoxDied("the guest does not greet") from error
    except asyncio.CancelledError:
        link.close()
        raise
    refused = hello.get("refused")
    if refused is None:
        return Channel(link, patience, on_broken)
    link.close()
    if refused == "fence":
        raise FenceLost("a newer worker has taken this workspace over")
    if refused == "busy":
        raise WorkspaceBusy("a worker is attached")
    raise BoxDied("the guest refuses further attachments")


class Pipe:
    """A TCP connection inside the box (`workspace.Stream`)."""

    def __init__(self, exchange: Exchange, first: bytes) -> None:
        self._exchange = exchange
        self._first = first

    async def read(self) -> bytes:
        first, self._first = self._first, b""
        piece = first or await self._exchange.read()
        if not piece and self._exchange.is_cut:
            await self._exchange.answer(Done)  # raises the guest's reason, if it has ended the connection
        return piece

    async def write(self, data: bytes) -> None:
        await self._exchange.send(data)

    async def write_eof(self) -> None:
        self._exchange.send_eof()

    async def close(self) -> None:
        self._exchange.give_up()

"""The host's end of an attachment: calls with deadlines over frames from a guest that is not trusted.

What a guest sends is checked frame by frame in `guest.link`; here silence and lateness are, and the words for
what went wrong: `FenceLost` when a newer worker attached, else `BoxDied`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.runtime.answers import S, answer_of
from app.runtime.guest.ends import Sink, Source
from app.runtime.guest.frames import Violation
from app.runtime.guest.link import Link, LinkLost, Stream
from app.runtime.workspace import BoxDied, FenceLost, RuntimeProblem, WorkspaceBusy


@dataclass(frozen=True)
class Patience:
    """Seconds. `answer_s` is for calls that say nothing of their own."""

    greeting_s: float = 10.0
    ping_s: float = 10.0
    silence_s: float = 45.0
    answer_s: float = 30.0


class Channel:
    """One attachment's calls. `on_broken` hears once that the guest can no longer be believed."""

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
        """Raises BoxDied, FenceLost."""
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
        """A whole call: its answer and its bytes; `first` is what has to be talked over before. The guest's
        no is raised as a refusal with `shown` as the path in its sentence. After `deadline_s` the box counts
        as dead."""
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
        """Within, a guest that breaks the protocol is given up, and a lost link is said in our words."""
        try:
            yield
        except LinkLost as lost:
            raise self.problem(lost) from lost
        except Violation as error:
            raise self.broken(f"the guest broke the protocol: {error}") from error

    def problem(self, lost: LinkLost) -> RuntimeProblem:
        if lost.bye == "fence":
            return FenceLost("a newer worker has taken this workspace over")
        return BoxDied(self._broken or str(lost))

    def broken(self, reason: str) -> BoxDied:
        """Give the guest up."""
        if not self._broken:
            self._broken = reason
            self._on_broken()
        self._link.close()
        return BoxDied(reason)

    def end(self, reason: str) -> None:
        """The guest is known to be gone."""
        self._broken = self._broken or f"the guest went away: {reason}"
        self._link.close()

    async def closed(self) -> None:
        """Until the guest has gone."""
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
            # With nothing asked, silence may be that of a box that was put to sleep.
            if self._link.busy() and loop.time() - self._link.heard > self._patience.silence_s:
                self.broken("the guest fell silent")
                return
            self._link.ping()


class Exchange:
    """One call that is under way. Leaving it early, by an error or a cancellation, gives the call up."""

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
        """Everything to the end; `on_data` hears each piece as it comes."""
        with self._channel.believing():
            return await self._stream.read_all(limit, on_data)

    async def send(self, data: bytes) -> None:
        with self._channel.believing():
            await self._stream.send(data)

    def send_eof(self) -> None:
        self._stream.send_eof()

    async def answer(self, shape: type[S], shown: str = "") -> S:
        """Raises the refusal that the guest answered with."""
        with self._channel.believing():
            return answer_of(shape, await self._stream.result(), shown)

    def give_up(self) -> None:
        """Whatever still runs for this call ends; harmless when it is over."""
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
    """Greet the guest at the other end. FenceLost, WorkspaceBusy (`call="stop"`), BoxDied."""
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
        return first or await self._exchange.read()

    async def write(self, data: bytes) -> None:
        await self._exchange.send(data)

    async def write_eof(self) -> None:
        self._exchange.send_eof()

    async def close(self) -> None:
        self._exchange.give_up()

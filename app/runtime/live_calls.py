"""The calls of `live_app.LiveApp` to a guest, and what they share with those of `attachment`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from app.domain.values import clean, clip
from app.runtime import answers
from app.runtime.channel import Channel, Exchange
from app.runtime.live_app import DataCopy, Switched
from app.runtime.workspace import LeftOut

APP_S = 60.0
GIT_S = 180.0
PIECE_S = 60.0
SHOWN, SHOWN_CHARS = 5, 200


class LiveCalls:
    """See `live_app.LiveApp`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def pack(self, want: str, have: str | None) -> AsyncIterator[bytes]:
        async for piece in pieces(self._channel, self._channel.begin("pack", want=want, have=have), want):
            yield piece

    async def learn(self, pack: AsyncIterator[bytes]) -> None:
        await self._channel.ask(answers.Done, "learn", first=_all_of(pack), deadline_s=GIT_S)

    async def left_out(self, *, look: bool) -> LeftOut:
        found, _ = await self._channel.ask(
            answers.LeftOut, "left_out", look=look, most=SHOWN, deadline_s=GIT_S
        )
        return LeftOut(tuple(clip(clean(path), SHOWN_CHARS) for path in found.paths), found.more)

    async def hold(self) -> None:
        await self._channel.ask(answers.Done, "hold", deadline_s=APP_S)

    async def release(self) -> None:
        await self._channel.ask(answers.Done, "release")

    async def switch(self, old: str | None, new: str) -> Switched:
        done, _ = await self._channel.ask(answers.Switched, "switch", old=old, new=new, deadline_s=GIT_S)
        return Switched(tuple(done.kept), tuple(done.replaced))

    async def set_aside(self, commit: str | None) -> DataCopy:
        made, _ = await self._channel.ask(answers.Aside, "set_aside", commit=commit, deadline_s=GIT_S)
        return DataCopy(made.entries, made.bytes)

    async def read_unused(
        self, commit: str | None, most: int, count: Callable[[DataCopy], None]
    ) -> AsyncIterator[bytes]:
        def take(made: answers.Aside) -> None:
            count(DataCopy(made.entries, made.bytes))

        call = self._channel.begin("read_unused", commit=commit, most=most)
        async for piece in pieces(self._channel, call, "the app's data", answers.Aside, take):
            yield piece

    async def aside(self) -> AsyncIterator[bytes]:
        async for piece in pieces(self._channel, self._channel.begin("aside"), "the copy of the data"):
            yield piece

    async def take_in(self, archive: AsyncIterator[bytes]) -> DataCopy:
        made, _ = await self._channel.ask(answers.Aside, "take_in", first=_all_of(archive), deadline_s=GIT_S)
        return DataCopy(made.entries, made.bytes)

    async def put_back(self, commit: str | None) -> None:
        await self._channel.ask(
            answers.Done, "put_back", shown="the copy of the data", commit=commit, deadline_s=GIT_S
        )

    async def drop_aside(self) -> None:
        await self._channel.ask(answers.Done, "drop_aside")


def _all_of(content: AsyncIterator[bytes]) -> Callable[[Exchange], Awaitable[None]]:
    async def send(exchange: Exchange) -> None:
        async for piece in content:
            await exchange.send(piece)
        exchange.send_eof()

    return send


async def pieces(
    channel: Channel,
    call: Exchange,
    shown: str,
    shape: type[answers.S] = answers.Done,  # type: ignore[assignment]
    take: Callable[[answers.S], None] = lambda _: None,
) -> AsyncIterator[bytes]:
    """The data of a call, in pieces; `take` gets its answer at the end. `shown` names what is read in a
    refusal."""
    async with call:
        while True:
            try:
                async with asyncio.timeout(PIECE_S):
                    piece = await call.read()
            except TimeoutError as error:
                raise channel.broken("the guest stopped in the middle of a file") from error
            if not piece:
                break
            yield piece
        take(await call.answer(shape, shown))

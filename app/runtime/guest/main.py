"""The guest: who is attached, what they have asked for, and when it is over."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any

from .box import Box, Config, reap
from .calls import CALLS, Call
from .confine import confine
from .frames import Json, Violation
from .link import Link, LinkLost, Stream
from .paths import Refused
from .relayed import RelayServer

CLIENT = "Client"
GREETING_S = 10.0
SILENCE_S = 45.0
TICK_S = 0.5
FROZEN_S = 2.0
MAX_ATTACHMENTS = 64
MAX_CALLS = 256


class Attachment:
    """One process of ours: a worker with its fence, or the API without."""

    def __init__(self, link: Link, fence: int | None) -> None:
        self.link = link
        self.fence = fence
        self.calls: dict[Stream, asyncio.Task[None]] = {}

    async def given_up(self) -> None:
        """Until calls that were given up are over: none may still act while the next one does."""
        ending = [task for stream, task in self.calls.items() if stream.draining]
        await asyncio.gather(*ending, return_exceptions=True)

    async def end_calls(self) -> None:
        """Until nothing is left of them."""
        running = list(self.calls.values())
        for task in running:
            cancel(task)
        await asyncio.gather(*running, return_exceptions=True)


def cancel(call: asyncio.Task[None]) -> None:
    """Once: a second time would end the waiting for what it started to be gone. A newer fence, the end of a
    link and a reset may all come together."""
    if not call.cancelling():
        call.cancel()


class Guest:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.attachments: set[Attachment] = set()
        self.fence = 0
        self.over = asyncio.Event()
        self.recording: set[asyncio.Task[None]] = set()
        self.leaving: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the box is over. It is over, too, when what keeps its limits has failed, and that is raised
        then: a box without limits must not go on."""
        server = await self._listen()
        keepers = [asyncio.create_task(self.box.watch.run()), asyncio.create_task(self._tick())]
        for keeper in keepers:
            keeper.add_done_callback(lambda _: self.over.set())
        await self.over.wait()
        server.close()
        failed = [keeper for keeper in keepers if keeper.done()]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*(attachment.end_calls() for attachment in self.attachments))
        await asyncio.gather(*self.recording)
        await self.box.app.stop()
        for attachment in self.attachments:
            attachment.link.bye("stopped")
            attachment.link.close()
        for keeper in failed:
            keeper.result()

    async def _listen(self) -> asyncio.Server | RelayServer:
        if self.box.config.listener is None:
            return RelayServer(self.box.config.relay_uid, self._on_connection)
        listener = socket.socket(fileno=self.box.config.listener)
        listener.set_inheritable(False)
        return await asyncio.start_unix_server(self._on_connection, sock=listener)

    @property
    def busy(self) -> bool:
        """Whether a worker is attached."""
        return any(attachment.fence is not None for attachment in self.attachments)

    async def _tick(self) -> None:
        pause = min(TICK_S, self.box.config.idle_s / 4)
        while True:
            before = time.monotonic()
            await asyncio.sleep(pause)
            self._pass_over(time.monotonic() - before - pause)
            self.box.end_orphans()
            now = asyncio.get_running_loop().time()
            for attachment in list(self.attachments):
                if now - attachment.link.heard > SILENCE_S:
                    attachment.link.close()
            if self.busy or any(attachment.calls for attachment in self.attachments):
                self.box.used = time.monotonic()
            elif time.monotonic() - self.box.used > self.box.config.idle_s:
                self.over.set()

    def _pass_over(self, lost_s: float) -> None:
        """A box that was frozen has not aged."""
        if lost_s > FROZEN_S:
            self.box.used += lost_s
            for attachment in self.attachments:
                attachment.link.heard += lost_s

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer, self._on_open, self._on_reset)
        try:
            async with asyncio.timeout(GREETING_S):
                hello = await link.greeting()
                attachment = await self._admit(link, hello)
        except (LinkLost, Violation, TimeoutError, ConnectionError):
            # Who went before it was greeted is not at work here, and keeps nothing awake.
            self.attachments = {each for each in self.attachments if each.link is not link}
            link.close()
            return
        if attachment is None:
            link.close()
            return
        try:
            await link.run()
        except Violation as error:
            complain(f"an attachment broke the protocol: {error}")
        finally:
            await attachment.end_calls()
            self.attachments.discard(attachment)
            if hello.get("call") != "peek":
                self.box.used = time.monotonic()

    async def _admit(self, link: Link, hello: Json) -> Attachment | None:
        """`fence` of a worker, nothing for the API; `call` is `stop` to end the box, `peek` not to keep it
        awake."""
        fence, call = hello.get("fence"), hello.get("call")
        refusal = ""
        if len(self.attachments) >= MAX_ATTACHMENTS:
            refusal = "full"
        elif fence is not None and fence < self.fence:
            refusal = "fence"
        elif call == "stop" and self.busy:
            refusal = "busy"
        if refusal:
            await link.greet({"refused": refusal})
            return None
        attachment = Attachment(link, fence)
        self.attachments.add(attachment)
        if call != "peek":
            self.box.used = time.monotonic()
        if fence is not None:
            self.fence = max(self.fence, fence)
            await self._end_lower()
            await asyncio.gather(*self.recording)
        await link.greet({"began": self.box.began})
        if call == "stop":
            self.over.set()
        return attachment

    async def _end_lower(self) -> None:
        for attachment in list(self.attachments):
            if attachment.fence is not None and attachment.fence < self.fence:
                self.attachments.discard(attachment)
                attachment.link.bye("fence")
                await attachment.end_calls()
                attachment.link.close()

    def _on_open(self, stream: Stream, request: Json) -> None:
        attachment = self._attachment_of(stream)
        if attachment is None or len(attachment.calls) >= MAX_CALLS:
            stream.link.finish(stream, {"refused": "failed", "detail": "too many calls"})
            return
        if request.get("call") == "detach":
            leaving = asyncio.create_task(self._detach(attachment, stream))
            self.leaving.add(leaving)
            leaving.add_done_callback(self.leaving.discard)
            return
        attachment.calls[stream] = asyncio.create_task(self._answer(attachment, stream, request))

    async def _detach(self, attachment: Attachment, stream: Stream) -> None:
        """For who wants to know that nothing of it is left, which the end of a relay does not tell."""
        await attachment.end_calls()
        self.attachments.discard(attachment)
        stream.link.finish(stream, {})

    def _on_reset(self, stream: Stream) -> None:
        attachment = self._attachment_of(stream)
        if attachment is not None and stream in attachment.calls:
            cancel(attachment.calls[stream])

    def _attachment_of(self, stream: Stream) -> Attachment | None:
        return next((each for each in self.attachments if each.link is stream.link), None)

    async def _answer(self, attachment: Attachment, stream: Stream, request: Json) -> None:
        is_use = request.get("call") != "status"
        if is_use:
            self.box.used = time.monotonic()
        result: Json | None = None
        try:
            await attachment.given_up()
            verb = CALLS.get(str(request.get("call")))
            if verb is None:
                raise Refused("failed", "there is no such call")
            result = await verb(self._call(attachment, stream, request))
        except Refused as refused:
            result = {"refused": refused.code, "detail": refused.detail[:1000]}
        except (LinkLost, asyncio.CancelledError):
            pass
        except (OSError, ValueError, KeyError, TypeError, Violation) as error:
            traceback.print_exception(error)
            result = {"refused": "failed", "detail": f"{type(error).__name__}: {error}"[:1000]}
        finally:
            attachment.calls.pop(stream, None)
            if is_use:
                self.box.used = time.monotonic()
            stream.link.finish(stream, result)

    def _call(self, attachment: Attachment, stream: Stream, request: Json) -> Call:
        if attachment.fence is not None:
            return Call(self.box, stream, request)
        return Call(self.box, stream, request, CLIENT, lambda: not self.busy, self._record)

    def _record(self, message: str, author: str) -> None:
        """Commit behind the answer: whatever git is asked next waits its turn and sees it."""
        task = asyncio.create_task(self._commit(message, author))
        self.recording.add(task)
        task.add_done_callback(self.recording.discard)

    async def _commit(self, message: str, author: str) -> None:
        try:
            await self.box.repository.commit(message, author)
        except Refused as refused:
            complain(f"a client's change was not committed: {refused.detail}")


def complain(what: str) -> None:
    """Into the box's log, which the host keeps."""
    sys.stderr.write(f"{what}\n")


async def live(config: Config, env: dict[str, str]) -> None:
    signal.signal(signal.SIGCHLD, reap)  # the loop's own way to be told would load `inspect`
    await Guest(Box(config, env)).serve()


def _clear(folder: str) -> None:
    """Remove what an earlier guest left there, where the folder outlives the box. We are alone yet."""
    for parent, folders, _ in os.walk(folder):
        for path in (f"{parent}/{name}" for name in folders):
            if not os.path.islink(path):
                os.chmod(path, 0o700)
    for parent, folders, files in os.walk(folder, topdown=False):
        for path in (f"{parent}/{name}" for name in folders):
            if not os.path.islink(path):
                os.rmdir(path)
            else:
                os.unlink(path)
        for name in files:
            os.unlink(f"{parent}/{name}")


def main() -> None:
    settings: dict[str, Any] = json.loads(os.environ.pop("BOARDROOM_BOX"))
    config = Config(**settings)
    confine(config.uid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o022)
    _clear(config.scratch)
    os.mkdir(f"{config.scratch}/home")
    asyncio.run(live(config, dict(os.environ)))

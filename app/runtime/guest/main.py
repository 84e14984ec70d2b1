"""The guest's main program: it admits attachments, runs their calls, and decides when the box ends."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any

from .box import Box, Config
from .call import Call
from .calls import CALLS
from .confine import confine
from .frames import Json, Violation
from .link import Link, LinkLost, Stream
from .paths import Refused
from .plain import reap
from .relayed import RelayServer
from .walk import emptying
from .wiping import wipe

CLIENT = "Client"
GREETING_S = 10.0
SILENCE_S = 45.0
TICK_S = 0.5
FROZEN_S = 2.0
MAX_ATTACHMENTS = 64
MAX_CALLS = 256
UNUSED = ("peek", "visit")
"""Greetings of attachments that do not use the box."""

VERBS = {**CALLS, "wipe": wipe}


CLEAR_S = 30.0
"""The longest that a start is held up by what an earlier guest left."""


class Attachment:
    """An attached process of the service: a worker, with its fence, or one without. One that `visits` does
    not use the box."""

    def __init__(self, link: Link, fence: int | None, visits: bool) -> None:
        self.link = link
        self.fence = fence
        self.calls: dict[Stream, asyncio.Task[None]] = {}
        self.visits = visits

    async def given_up(self) -> None:
        """Wait for the end of cancelled calls, so that none of them still acts while the next call does."""
        ending = [task for stream, task in self.calls.items() if stream.draining]
        await asyncio.gather(*ending, return_exceptions=True)

    async def end_calls(self) -> None:
        """Cancel all calls and wait until nothing is left of them."""
        running = list(self.calls.values())
        for task in running:
            cancel(task)
        await asyncio.gather(*running, return_exceptions=True)


def cancel(call: asyncio.Task[None]) -> None:
    """Cancel a call, but only once: a second cancellation would end its waiting for its processes to end. A
    newer fence, the end of a link and a reset may come at the same time."""
    if not call.cancelling():
        call.cancel()


class Guest:
    """Serves the attachments of one box. `fence` is the highest one seen; `recording` are the commits of
    clients' changes that are running, `leaving` the calls of `detach`."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.attachments: set[Attachment] = set()
        self.fence = 0
        self.over = asyncio.Event()
        self.recording: set[asyncio.Task[None]] = set()
        self.leaving: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until the box ends. It also ends when a task that enforces its limits fails, because a box
        without limits must not go on; the task's error is raised then."""
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
            if self.busy or self.box.uses:
                self.box.used = time.monotonic()
            elif any(attachment.visits for attachment in self.attachments):
                continue
            elif time.monotonic() - self.box.used > self.box.config.idle_s:
                self.over.set()

    def _pass_over(self, lost_s: float) -> None:
        """Do not count the time in which the box was frozen (paused) as idle or as silence."""
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
            # A process that left before it was greeted must not keep the box awake.
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
            self._leave(attachment)
            if hello.get("call") not in UNUSED:
                self.box.use()

    async def _admit(self, link: Link, hello: Json) -> Attachment | None:
        """Greet an attachment; None if it is refused. `hello` has the `fence` of a worker, and none for the
        API. Its `call` may be `stop`, which ends the box; `peek`, which does not keep it awake; `visit`, none
        of whose calls uses the box."""
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
        attachment = Attachment(link, fence, call == "visit")
        self.attachments.add(attachment)
        if call not in UNUSED:
            self.box.use()
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
        """End an attachment's calls and answer when nothing of them is left. Without this a caller could not
        know, because the end of a relay does not say so."""
        await attachment.end_calls()
        stream.link.finish(stream, {})
        self._leave(attachment)

    def _leave(self, attachment: Attachment) -> None:
        """Forget an attachment. A box that was started for visitors alone ends with the last one."""
        self.attachments.discard(attachment)
        if attachment.visits and not self.box.was_used and not any(each.visits for each in self.attachments):
            self.over.set()

    def _on_reset(self, stream: Stream) -> None:
        attachment = self._attachment_of(stream)
        if attachment is not None and stream in attachment.calls:
            cancel(attachment.calls[stream])

    def _attachment_of(self, stream: Stream) -> Attachment | None:
        return next((each for each in self.attachments if each.link is stream.link), None)

    async def _answer(self, attachment: Attachment, stream: Stream, request: Json) -> None:
        is_use = request.get("call") != "status" and not attachment.visits
        if is_use:
            self.box.uses += 1
            self.box.use()
        result: Json | None = None
        try:
            await attachment.given_up()
            verb = VERBS.get(str(request.get("call")))
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
                self.box.uses -= 1
                self.box.used = time.monotonic()
            stream.link.finish(stream, result)

    def _call(self, attachment: Attachment, stream: Stream, request: Json) -> Call:
        if attachment.fence is not None:
            return Call(self.box, stream, request)
        return Call(self.box, stream, request, CLIENT, lambda: not self.busy, self._record)

    def _record(self, message: str, author: str) -> None:
        """Commit after the answer was given. The repository's lock makes the next call of git wait for it."""
        task = asyncio.create_task(self._commit(message, author))
        self.recording.add(task)
        task.add_done_callback(self.recording.discard)

    async def _commit(self, message: str, author: str) -> None:
        try:
            await self.box.repository.commit(message, author)
        except Refused as refused:
            complain(f"a client's change was not committed: {refused.detail}")


def complain(what: str) -> None:
    """Write to stderr, the end of which the host keeps."""
    sys.stderr.write(f"{what}\n")


async def live(config: Config, env: dict[str, str]) -> None:
    signal.signal(signal.SIGCHLD, reap)
    await Guest(Box(config, env)).serve()


def _clear(folder: str) -> None:
    """Empty a folder of what an earlier guest left, before anything else runs in the box. Whatever that was,
    the box starts."""
    end = time.monotonic() + CLEAR_S
    try:
        for _ in emptying(folder):
            if time.monotonic() > end:
                complain(f"{folder} could not be emptied within {CLEAR_S:.0f} s")
                return
    except OSError as error:
        complain(f"{folder} could not be emptied: {error}")


def main() -> None:
    settings: dict[str, Any] = json.loads(os.environ.pop("BOARDROOM_BOX"))
    config = Config(**settings)
    confine(config.uid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.set_inheritable(int(name), False)
    os.umask(0o022)
    _clear(config.scratch)
    os.makedirs(f"{config.scratch}/home", exist_ok=True)
    asyncio.run(live(config, dict(os.environ)))

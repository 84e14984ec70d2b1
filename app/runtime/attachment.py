"""A `Workspace` over a channel to a guest, for every kind of box."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from app.domain.errors import Invalid, TooLarge
from app.domain.ticket import AnyCheck
from app.domain.values import clean, clip
from app.domain.workspace import (
    MAX_READ_BYTES,
    MAX_SAVE_BYTES,
    NOT_ENTERED,
    ROOT,
    STEERS_TESTS,
    TEST_FILE,
    Manifest,
    resolve_path,
)
from app.runtime import answers
from app.runtime.channel import Channel, Exchange, Pipe
from app.runtime.checker import manifest_of, run_check
from app.runtime.hidden import find_hidden
from app.runtime.leave import INSTALL_S, Connect, Leave
from app.runtime.live_calls import APP_S, GIT_S, LiveCalls, pieces
from app.runtime.workspace import (
    WIPE_S,
    AppStatus,
    BoxStatus,
    CheckResult,
    CommandResult,
    Commit,
    File,
    Hidden,
    HttpAnswer,
    Listing,
    RuntimeProblem,
    Saved,
    Stream,
)

MAX_LISTING_BYTES = 4 * 1024 * 1024
MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MAX_REFS_BYTES = 4 * 1024 * 1024
"""Room for the list of refs in a bundle, in addition to the pack."""
MAX_COMMAND_BYTES = 48 * 1024
MAX_ANSWER_BYTES = 64 * 1024
GRACE_S = 20.0
"""Seconds that a guest may need after a command's deadline before its box counts as dead."""
_REF = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
_SHA = re.compile(r"[0-9a-f]{40}")


def _within(path: str) -> str:
    """The path relative to the root, as the guest expects it."""
    return resolve_path(path)[len(ROOT) :].lstrip("/")


class Attachment(LiveCalls):
    """See `workspace.Workspace`. `image` is the box's image, if it has one. `connect` gives the box a network
    for the time of an install step; None if it never needs one."""

    def __init__(
        self,
        channel: Channel,
        image: str | None,
        on_close: Callable[["Attachment"], None],
        connect: Connect | None = None,
    ) -> None:
        super().__init__(channel)
        self._image = image
        self._on_close = on_close
        self._leave = Leave(connect) if connect is not None else None

    async def list(self, path: str, limit: int) -> Listing:
        shown = resolve_path(path)
        listed, data = await self._channel.ask(
            answers.Listed,
            "list",
            shown=shown,
            path=_within(shown),
            limit=limit,
            closed=sorted(NOT_ENTERED),
            bytes_limit=MAX_LISTING_BYTES,
        )
        with self._channel.believing():
            nodes = answers.nodes_of(shown, data)
        return Listing(path=shown, structure=nodes, truncated=listed.truncated)

    async def ignored_by(self, path: str) -> str:
        found, _ = await self._channel.ask(answers.Ignored, "ignored", path=_within(resolve_path(path)))
        return clip(clean(found.rule), 200)

    async def read(self, path: str) -> File:
        shown = resolve_path(path)
        about, data = await self._channel.ask(
            answers.About,
            "read",
            shown=shown,
            path=_within(shown),
            limit=MAX_READ_BYTES,
            bytes_limit=MAX_READ_BYTES,
        )
        return File(content=data, **_stored(shown, len(data), about))

    async def download(self, path: str) -> AsyncIterator[bytes]:
        shown = resolve_path(path)
        async for piece in pieces(self._channel, self._channel.begin("download", path=_within(shown)), shown):
            yield piece

    async def archive(self) -> AsyncIterator[bytes]:
        async for piece in pieces(
            self._channel, self._channel.begin("archive", closed=sorted(NOT_ENTERED)), ROOT
        ):
            yield piece

    async def save(self, path: str, content: bytes, etag: str | None = None) -> Saved:
        shown = resolve_path(path)
        if len(content) > MAX_SAVE_BYTES:
            raise TooLarge(f"The content is larger than {MAX_SAVE_BYTES} bytes.")
        about, _ = await self._channel.ask(
            answers.About,
            "save",
            shown=shown,
            path=_within(shown),
            body=content,
            size=len(content),
            etag=etag,
        )
        return Saved(bytes_written=len(content), **_stored(shown, len(content), about))

    async def delete(self, path: str) -> None:
        shown = resolve_path(path)
        await self._channel.ask(answers.Done, "delete", shown=shown, path=_within(shown))

    async def run(
        self,
        command: str,
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        output_limit: int = 64 * 1024,
        on_output: Callable[[str], None] | None = None,
    ) -> CommandResult:
        if len(command.encode(errors="replace")) > MAX_COMMAND_BYTES:
            raise TooLarge(f"The command is longer than {MAX_COMMAND_BYTES} bytes.")
        if clean(command) != command:
            raise Invalid("The command contains NUL or lone surrogates.", code="bad_command")
        began = time.monotonic()
        call = self._channel.begin(
            "run", command=command, timeout_s=timeout_s, env=dict(env or {}), output_limit=output_limit
        )
        async with call:
            try:
                async with asyncio.timeout(timeout_s + GRACE_S):
                    output = await self._output(call, output_limit, on_output)
                    ran = await call.answer(answers.Ran)
            except TimeoutError as error:
                raise self._channel.broken("the guest did not end a command in time") from error
        return CommandResult(
            exit_code=ran.exit,
            output=answers.output_text(output, ran),
            timed_out=ran.timed_out,
            truncated=ran.total > len(output),
            duration_ms=round((time.monotonic() - began) * 1000),
        )

    async def _output(self, call: Exchange, limit: int, on_output: Callable[[str], None] | None) -> bytes:
        output = bytearray()
        take = None if on_output is None else answers.as_text(on_output)
        while piece := await call.read():
            output += piece
            if len(output) > limit:
                raise self._channel.broken("the guest sent more output than was asked for")
            if take is not None:
                take(piece)
        return bytes(output)

    async def checkpoint(self, run: str, step: str) -> str:
        if not _REF.fullmatch(run) or not _REF.fullmatch(step):
            raise ValueError(f"no names for a checkpoint: {run!r}, {step!r}")
        recorded, _ = await self._channel.ask(
            answers.Tree, "checkpoint", run=run, step=step, deadline_s=GIT_S
        )
        return recorded.tree

    async def restore(self, tree: str) -> None:
        if not _SHA.fullmatch(tree):
            raise ValueError(f"no tree: {tree!r}")
        await self._channel.ask(answers.Done, "restore", tree=tree, deadline_s=GIT_S)

    async def commit(self, message: str, author: str) -> Commit:
        made, _ = await self._channel.ask(
            answers.Committed,
            "commit",
            message=clip(message, 10_000),
            author=clip(author, 100),
            deadline_s=GIT_S,
        )
        with self._channel.believing():
            return answers.commit_of(made)

    async def propose(self) -> Commit:
        made, _ = await self._channel.ask(answers.Committed, "propose", deadline_s=GIT_S)
        with self._channel.believing():
            return answers.commit_of(made)

    async def head(self) -> Commit | None:
        found, _ = await self._channel.ask(answers.Committed, "head", deadline_s=GIT_S)
        if found.sha is None:
            return None
        with self._channel.believing():
            return answers.commit_of(found)

    async def with_tests(self, commit: Commit, kept: str) -> Commit:
        if not _SHA.fullmatch(kept):
            raise ValueError(f"no commit: {kept!r}")
        made, _ = await self._channel.ask(
            answers.Committed,
            "with_tests",
            commit=commit.sha,
            kept=kept,
            tests=TEST_FILE,
            steering=STEERS_TESTS,
            deadline_s=GIT_S,
        )
        if made.sha is None:
            return commit
        with self._channel.believing():
            return answers.commit_of(made)

    async def diff(self, old: str, new: str, limit: int) -> str:
        if not _SHA.fullmatch(old) or not _SHA.fullmatch(new):
            raise ValueError(f"no commits: {old!r}, {new!r}")
        _, data = await self._channel.ask(
            answers.Done, "diff", old=old, new=new, limit=limit, bytes_limit=limit, deadline_s=GIT_S
        )
        return clean(data.decode(errors="replace"))

    async def bundle(self) -> bytes:
        limit = MAX_BUNDLE_BYTES
        try:
            _, content = await self._channel.ask(
                answers.Done, "bundle", limit=limit, bytes_limit=limit + MAX_REFS_BYTES, deadline_s=GIT_S
            )
        except TooLarge:
            raise TooLarge(f"The repository is larger than {limit // 2**20} MiB.") from None
        return content

    async def unbundle(self, content: bytes) -> None:
        await self._channel.ask(answers.Done, "unbundle", body=content, size=len(content), deadline_s=GIT_S)

    async def hidden(self, base: Commit, commit: Commit, *, installed: bool) -> Sequence[Hidden]:
        return await find_hidden(self._channel, base.sha, commit.sha, self._leave, installed=installed)

    async def manifest(self, commit: str) -> Manifest | None:
        return (await manifest_of(self._channel, commit))[0]

    async def check(
        self,
        commit: str,
        check: AnyCheck,
        on_output: Callable[[str], None] | None = None,
    ) -> CheckResult:
        if not _SHA.fullmatch(commit):
            raise ValueError(f"no commit: {commit!r}")
        return await run_check(self._channel, commit, check, self._leave, on_output)

    async def start_app(self, manifest: Manifest) -> AppStatus:
        leave = self._leave if manifest.install else None
        app, _ = await self._channel.ask(
            answers.App,
            "start_app",
            first=leave,
            gated=leave is not None,
            install=manifest.install,
            start=manifest.start,
            port=manifest.port,
            health=manifest.health,
            deadline_s=APP_S + (INSTALL_S if manifest.install else 0),
        )
        return answers.app_of(app)

    async def stop_app(self) -> None:
        await self._channel.ask(answers.Done, "stop_app")

    async def app_status(self) -> AppStatus:
        app, _ = await self._channel.ask(answers.App, "app_status")
        return answers.app_of(app)

    async def request(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        answered, data = await self._channel.ask(
            answers.Answered,
            "request",
            method=method,
            path=path,
            text=body,
            headers=dict(headers or {}),
            bytes_limit=MAX_ANSWER_BYTES,
            deadline_s=APP_S,
        )
        said = [clean(line) for line in answered.headers]
        return HttpAnswer(answered.status, clean(data.decode(errors="replace")), said)

    async def dial(self, port: int, *, lasting: bool = False) -> Stream:
        call = self._channel.begin("dial", port=port, lasting=lasting)
        try:
            # The guest's first byte says that the connection is established.
            first = await call.read()
            if not first:
                await call.answer(answers.Done)
                raise RuntimeProblem("the connection closed at once")
        except BaseException:  # also when the caller was cancelled
            call.give_up()
            raise
        return Pipe(call, first[1:])

    async def status(self) -> BoxStatus:
        usage, _ = await self._channel.ask(answers.Usage, "status")
        return BoxStatus(
            "running",
            self._image,
            answers.moment(usage.began),
            usage.memory_bytes,
            usage.cpu_percent,
            answers.moment_or_none(usage.answers_since),
        )

    async def wipe(self, within_s: float = WIPE_S, *, keep: str = "") -> frozenset[str]:
        raise ValueError("only a worker's attachment to a trial may wipe it")

    async def close(self) -> None:
        self._on_close(self)
        await self._channel.close()


def _stored(path: str, size: int, about: answers.About) -> dict[str, Any]:
    return {"path": path, "size": size, "modified_at": answers.moment(about.modified), "etag": about.etag}

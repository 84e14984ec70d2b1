"""The interface of one box: what can be asked of its guest, the values that come back, and the errors.

A `Runtime` (see `runtime`) makes the boxes of a job and attaches to them. Everything else is a call to the
guest through a `Workspace`, which is one attachment. Errors that a client may see are those of the domain
(`NotFound`, `Forbidden`, `Conflict`, …); the errors here are for our own processes.

Nothing that comes from a box is trusted: implementations limit every size and time.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from app.domain.ticket import AnyCheck
from app.domain.values import Stamp
from app.domain.workspace import BoxState, Manifest
from app.runtime.live_app import LiveApp

WIPE_S = 2.0
"""Seconds in which a trial has to be empty. To make another box takes no longer."""


class RuntimeProblem(Exception):
    """Base of all errors about boxes. The message can be logged and shown as the detail of a failure."""


class SandboxUnavailable(RuntimeProblem):
    """No box can be made on this machine, or the engine fails."""


class EngineAway(SandboxUnavailable):
    """The engine does not answer, or the connection broke. It may be back soon."""


class NoPlace(RuntimeProblem):
    """All boxes that may be awake are in use. There is a place again when one of them is idle."""


class WorkspaceMissing(RuntimeProblem):
    """The job has no box and no files (yet, or any more)."""


class BoxDied(RuntimeProblem):
    """The guest ended, broke the protocol or did not answer in time."""


class FenceLost(RuntimeProblem):
    """A worker with a higher fence has attached, so this attachment may do nothing any more."""


class TreeMissing(RuntimeProblem):
    """The box does not know this tree: the box was lost and made again after the tree was recorded."""


class NotClean(RuntimeProblem):
    """A trial could not be emptied, so no check may run in it any more: the box has to be discarded."""


class WorkspaceBusy(RuntimeProblem):
    """A worker is attached, so a client may neither change files nor stop the box."""


class Node(BaseModel, frozen=True, defer_build=True):
    """`path` is absolute under `/app`; `size` is in bytes. Every folder has `children`, a file has none."""

    name: str
    path: str
    type: Literal["file", "dir"]
    size: int
    modified_at: Stamp
    children: list["Node"] = Field(default_factory=list)


class Listing(BaseModel, frozen=True, defer_build=True):
    path: str
    structure: list[Node]
    truncated: bool


class Stored(BaseModel, frozen=True, defer_build=True):
    """A file in the box. `etag` changes whenever the content does."""

    path: str
    size: int
    modified_at: Stamp
    etag: str


class File(Stored):
    content: bytes


class Saved(Stored):
    bytes_written: int


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. `exit_code` is None if the deadline or a limit ended it. `output` is stdout and
    stderr interleaved, without characters that cannot be stored; if it was longer than the limit, its middle
    is missing (`truncated`)."""

    exit_code: int | None
    output: str
    timed_out: bool
    truncated: bool
    duration_ms: int


@dataclass(frozen=True)
class Commit:
    """`sha` of a commit and of its `tree`, 40 hex digits each."""

    sha: str
    tree: str


@dataclass(frozen=True)
class Hidden:
    """A committed file, and a sentence that says what it would be imported instead of."""

    path: str
    sentence: str


@dataclass(frozen=True)
class CheckResult:
    """The result of one check on one commit. `output_tail` has at most 4 KiB. `checked` is false if the box
    lacks a program that the check needs, such as a browser: then nothing is known about the commit. `picture`
    is a JPEG of the page, empty if there is none."""

    passed: bool
    exit_code: int | None
    output_tail: str
    duration_ms: int
    checked: bool = True
    picture: bytes = b""


@dataclass(frozen=True)
class AppStatus:
    """The state of the app. It is `answering` once its health path has answered with a status below 500.
    `began` is when `start_app` started it; a restart by the guest after a crash does not change it, nor does
    a `hold`. `held` says that it is held."""

    state: Literal["none", "starting", "answering", "died"]
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    log_tail: str = ""
    began: datetime | None = None
    held: bool = False

    @property
    def answering(self) -> bool:
        return self.state == "answering"


@dataclass(frozen=True)
class HttpAnswer:
    """An answer of the app. `status` is 0 if nothing answered; `body` has at most 64 KiB, `headers`, as
    `name: value`, 8 KiB."""

    status: int
    body: str
    headers: Sequence[str] = ()


@dataclass(frozen=True)
class LeftOut:
    """Some paths, and how many `more` there are. A folder stands for all that is in it."""

    paths: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class BoxStatus:
    """The state of a box. `memory_bytes` and `cpu_percent` are those of all its processes; None if unknown.
    `app_began` is `AppStatus.began` if the app answers. `problem` is a sentence that says how the box failed,
    if that is why it is asleep."""

    state: BoxState
    image: str | None = None
    started_at: datetime | None = None
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    app_began: datetime | None = None
    problem: str = ""


class Stream(Protocol):
    """A TCP connection to a port inside the box."""

    async def read(self) -> bytes:
        """The next piece, at most 64 KiB; empty at the end."""

    async def write(self, data: bytes) -> None: ...

    async def write_eof(self) -> None: ...

    async def close(self) -> None: ...


class Workspace(LiveApp, Protocol):
    """One attachment to one box: that of a worker, with its fence, or of the API, without one.

    Every call may raise BoxDied and, on a worker's attachment, FenceLost. Paths are absolute, under /app (see
    `domain.workspace.resolve_path`); the guest resolves them in the box.
    """

    async def list(self, path: str, limit: int) -> Listing:
        """The entries of a folder: folders first, then by name. At most `limit` entries are inspected,
        breadth first. Raises NotFound, Forbidden (the path leads outside /app), Conflict (not a folder)."""

    async def ignored_by(self, path: str) -> str:
        """The rule by which git ignores a file, in words; empty if it does not."""

    async def read(self, path: str) -> File:
        """The content of a file. Raises NotFound, Forbidden, Conflict (not a file), TooLarge (over
        `MAX_READ_BYTES`)."""

    def download(self, path: str) -> AsyncIterator[bytes]:
        """The content of a file of any size, in pieces. Raises what `read` raises, at the first piece."""

    def archive(self) -> AsyncIterator[bytes]:
        """A .zip of /app without `NOT_ENTERED` folders, streamed while it is made. If more has to be left
        out, its last file says what."""

    async def save(self, path: str, content: bytes, etag: str | None = None) -> Saved:
        """Write a file atomically; parent folders are made. On the API's attachment this raises WorkspaceBusy
        while a worker is attached, and the change is committed as "Client": after the answer, but before the
        next call that uses git. Raises Stale (`etag` is not that of the present content), NotFound,
        Forbidden, Conflict, TooLarge."""

    async def delete(self, path: str) -> None:
        """Remove a file. Raises NotFound, Forbidden, Conflict, and WorkspaceBusy as `save`."""

    async def run(
        self,
        command: str,
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        output_limit: int = 64 * 1024,
        on_output: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Run a shell line in /app, in a session of its own, with an empty stdin. `output_limit` is in bytes;
        `on_output` is called with output as it comes. All processes that the command started end with it,
        also if this call is cancelled or the attachment is closed."""

    async def checkpoint(self, run: str, step: str) -> str:
        """Record the present files of /app under `refs/boardroom/<run>/<step>`, and return the tree's sha."""

    async def restore(self, tree: str) -> None:
        """Make /app equal to a recorded tree. Files that git ignores stay, but for compiled ones and
        caches. Raises TreeMissing."""

    async def commit(self, message: str, author: str) -> Commit:
        """Commit all of /app. If nothing has changed, the last commit is returned."""

    async def propose(self) -> Commit:
        """A commit of all of /app as it is now, which is on no branch: the head stays where it is."""

    async def head(self) -> Commit | None:
        """The last commit, or None in an empty repository."""

    async def with_tests(self, commit: Commit, kept: str) -> Commit:
        """A commit like `commit`, but with the test files of the commit `kept` and the files that configure
        tests (`domain.workspace.TEST_FILE`, `STEERS_TESTS`). Dependencies are those of `commit`. It is
        `commit` itself if that changed none of these files. The result is on no branch, and always the same
        for the same two commits."""

    async def diff(self, old: str, new: str, limit: int) -> str:
        """The first `limit` bytes of git's diff between two commits or trees, without lock files."""

    async def bundle(self) -> bytes:
        """The git repository of /app as bytes, for `unbundle`; empty without a commit. Raises TooLarge over
        `attachment.MAX_BUNDLE_BYTES`."""

    async def unbundle(self, content: bytes) -> None:
        """Fill an empty /app from a bundle. Does nothing if there is a commit."""

    async def hidden(self, base: Commit, commit: Commit, *, installed: bool) -> Sequence[Hidden]:
        """The files of `commit`, not of `base`, that would be imported instead of modules of the standard
        library or of installed packages (then the install step of `commit` runs, if it has not)."""

    async def manifest(self, commit: str) -> Manifest | None:
        """The manifest in a commit; None if it has no valid one."""

    async def check(
        self,
        commit: str,
        check: AnyCheck,
        on_output: Callable[[str], None] | None = None,
    ) -> CheckResult:
        """Run one check on `commit` in a clean checkout under /scratch, with its own $PORT and HOME, and end
        all its processes afterwards. Files that the job's code left outside of /app are removed before. The
        manifest in the commit says how to install and how to start the app. `on_output` is called with a
        command's output as it comes."""

    async def start_app(self, manifest: Manifest) -> AppStatus:
        """Start the app in /app, unless it runs, and wait up to 20 s for its answer. One that died is started
        again."""

    async def stop_app(self) -> None: ...

    async def app_status(self) -> AppStatus: ...

    async def left_out(self, *, look: bool) -> LeftOut:
        """Files that the app or its install step has written, and that no commit holds for that reason: those
        of which the last call did not tell. With `look`, what has changed since the last checkpoint is the
        app's."""

    async def request(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """One HTTP request to the running app, from inside the box. A `body` is JSON unless `headers` say
        otherwise. Cookies of answers are kept for later requests until the app is started again."""

    async def dial(self, port: int, *, lasting: bool = False) -> Stream:
        """A connection to `port` on the loopback inside the box. A `hold` does not wait for a `lasting` one.
        Raises Conflict if nothing listens there, AppHeld; a read of the stream raises AppHeld if a `hold` has
        ended it."""

    async def status(self) -> BoxStatus: ...

    async def wipe(self, within_s: float = WIPE_S, *, keep: str = "") -> frozenset[str]:
        """Empty a trial for its next check: end all of its processes, and remove everything from /app,
        /scratch and the temporary folders, and System V objects. What install steps made of commits is kept,
        and so are the files of small commits that were learned and then named by `keep`: those that are
        returned need not be learned again for a `check`. Only on a worker's attachment to a trial, else
        ValueError. Raises NotClean if it is not done in time."""

    async def close(self) -> None:
        """Detach. Commands of this attachment end; the app goes on."""

"""What a box can do for us, whatever it is made of: the protocol, its values and its errors.

Two things are known to a `Runtime`: how to make the box of a job, and how to attach to it. Everything else
is a call to the guest through a `Workspace`, which is one attachment. Refusals that a client may see are the
domain's (`NotFound`, `Forbidden`, `Conflict`, …); the errors here are for our own processes.

What comes out of a box is untrusted: implementations bound every size and time.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from app.domain.ticket import AnyCheck
from app.domain.workspace import BoxState, Manifest, NetworkMode


class RuntimeProblem(Exception):
    """Base of what may go wrong with a box; the message is fit for a log and for a failure's detail."""


class SandboxUnavailable(RuntimeProblem):
    """No box can be made on this machine, or the engine does not answer."""


class EngineAway(SandboxUnavailable):
    """The engine does not answer, or broke off: it may be back in a moment."""


class NoPlace(RuntimeProblem):
    """As many boxes as may be awake are at work: there will be a place when one of them is done."""


class WorkspaceMissing(RuntimeProblem):
    """This job has no box and no files yet."""


class BoxDied(RuntimeProblem):
    """The guest went away, broke the protocol or fell silent in the middle of a call."""


class FenceLost(RuntimeProblem):
    """A newer worker has attached: this attachment may not do anything any more."""


class TreeMissing(RuntimeProblem):
    """The box does not know this tree: it was lost and made anew since the tree was recorded."""


class WorkspaceBusy(RuntimeProblem):
    """A worker is attached, so a client may neither save nor stop."""


@dataclass(frozen=True)
class Node:
    """One entry of a listing. `path` is absolute under /app; `size` in bytes; folders have `children`."""

    name: str
    path: str
    type: Literal["file", "dir"]
    size: int
    modified_at: datetime
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    path: str
    structure: list[Node]
    truncated: bool


@dataclass(frozen=True)
class File:
    """A file's bytes. `etag` changes whenever the content does."""

    path: str
    content: bytes
    size: int
    modified_at: datetime
    etag: str


@dataclass(frozen=True)
class Saved:
    path: str
    bytes_written: int
    size: int
    modified_at: datetime
    etag: str


@dataclass(frozen=True)
class CommandResult:
    """`exit_code` is None when the deadline or a limit ended the command; `output` is stdout and stderr
    interleaved, cleaned for storage, its middle cut out when it was longer than the limit."""

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
class CheckResult:
    """What one check did on one commit. `output_tail` is at most 4 KiB. `checked` is false where the box
    lacks what it takes to find out: nothing was seen then, neither good nor bad."""

    passed: bool
    exit_code: int | None
    output_tail: str
    duration_ms: int
    checked: bool = True


@dataclass(frozen=True)
class AppStatus:
    """The app of the manifest. `answering` is true once its health path answered below 500. `began` is when
    `start_app` started it; that the guest started it again after a crash does not change it."""

    state: Literal["none", "starting", "answering", "died"]
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    log_tail: str = ""
    began: datetime | None = None

    @property
    def answering(self) -> bool:
        return self.state == "answering"


@dataclass(frozen=True)
class HttpAnswer:
    """`status` is 0 when nothing answered; `body` is cut at 64 KiB."""

    status: int
    body: str


@dataclass(frozen=True)
class BoxStatus:
    """`memory_bytes` and `cpu_percent` of everything in the box; None where they are not known.
    `app_began` is the `AppStatus.began` of an app that answers; `problem` is a sentence about how a box that
    sleeps came to an end nobody wanted."""

    state: BoxState
    image: str | None = None
    started_at: datetime | None = None
    memory_bytes: int | None = None
    cpu_percent: float | None = None
    app_began: datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Whether boxes can be made here, in a sentence; `remedy` says exactly what to do if not."""

    kind: str
    ok: bool
    detail: str
    remedy: str = ""


class Stream(Protocol):
    """A TCP connection to a port inside the box."""

    async def read(self) -> bytes:
        """The next piece, at most 64 KiB; empty at the end."""

    async def write(self, data: bytes) -> None: ...

    async def write_eof(self) -> None: ...

    async def close(self) -> None: ...


class Workspace(Protocol):
    """One attachment to one box: of a worker with its fence, or of the API without one.

    Every call may raise BoxDied and, on a worker's attachment, FenceLost. Paths are absolute under /app
    (see `domain.workspace.resolve_path`) and are resolved inside the box, by the kernel.
    """

    async def list(self, path: str, limit: int) -> Listing:
        """The entries of a folder, breadth first, at most `limit` inspected; folders first, then by name.
        NotFound, Forbidden (it leads outside /app), Conflict (not a folder)."""

    async def read(self, path: str) -> File:
        """NotFound, Forbidden, Conflict (not a file), TooLarge (over `MAX_READ_BYTES`)."""

    def download(self, path: str) -> AsyncIterator[bytes]:
        """The raw bytes of a file of any size; refusals as `read`, raised at the first piece."""

    def archive(self) -> AsyncIterator[bytes]:
        """A .zip of /app without `NOT_ENTERED` folders, as it is made."""

    async def save(self, path: str, content: bytes, etag: str | None = None) -> Saved:
        """Atomic, makes parent folders. On the API's attachment refused with WorkspaceBusy while a worker is
        attached, and committed as "Client": behind the answer, before whatever is asked of git next.
        Stale (etag), NotFound, Forbidden, Conflict, TooLarge."""

    async def delete(self, path: str) -> None:
        """Remove a file. NotFound, Forbidden, Conflict."""

    async def run(
        self,
        command: str,
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        output_limit: int = 64 * 1024,
        on_output: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """A shell line in /app, in a process group of its own with a closed stdin; everything it started is
        ended with it, also when this call is cancelled or the attachment closes."""

    async def checkpoint(self, run: str, step: str) -> str:
        """Record the tree of /app as it is under `refs/boardroom/<run>/<step>`; returns the tree's sha."""

    async def restore(self, tree: str) -> None:
        """Make /app what `tree` says; files git ignores stay. TreeMissing."""

    async def commit(self, message: str, author: str) -> Commit:
        """Commit all of /app; with nothing changed, the commit there already is."""

    async def head(self) -> Commit | None:
        """The last commit, or None in an empty repository."""

    async def with_tests(self, commit: Commit, kept: str) -> Commit:
        """A commit like `commit`, but with exactly the test files of commit `kept` and what steers them
        (`domain.workspace.TEST_FILE`, `STEERS_TESTS`); `commit` itself where all of those are in it as they
        were. Dependencies are those of `commit`. On no branch, always the same."""

    async def diff(self, old: str, new: str, limit: int) -> str:
        """What changed from one commit or tree to another, as git shows it, without lock files; its first
        `limit` bytes."""

    async def bundle(self) -> bytes:
        """All that git knows of /app, opaque; empty without a commit. TooLarge over
        `attachment.MAX_BUNDLE_BYTES`."""

    async def unbundle(self, content: bytes) -> None:
        """Fill an empty /app from a bundle; one that has a commit stays as it is."""

    async def check(
        self,
        commit: str,
        check: AnyCheck,
        on_output: Callable[[str], None] | None = None,
    ) -> CheckResult:
        """Run one check on `commit` in a clean checkout under /scratch with its own $PORT and HOME, ending
        every process afterwards. What the job's code left outside of /app is removed before. The checkout's
        manifest says how to install first, and for `http` how the app is started there. `expect_json` has to
        be a part of the answer: see `answers.holds`. `on_output` hears a command as it runs."""

    async def start_app(self, manifest: Manifest) -> AppStatus:
        """Start the app in /app (again if it died), wait up to 20 s for its answer. Idempotent."""

    async def stop_app(self) -> None: ...

    async def app_status(self) -> AppStatus: ...

    async def request(self, method: str, path: str, body: str | None = None) -> HttpAnswer:
        """One HTTP request to the running app, from inside the box."""

    async def dial(self, port: int) -> Stream:
        """A connection to 127.0.0.1:`port` inside the box. Conflict when nothing listens there."""

    async def status(self) -> BoxStatus: ...

    async def close(self) -> None:
        """Detach: this attachment's commands end, the app goes on."""


class Runtime(Protocol):
    """How boxes are made and reached. Implementations: `local` (bubblewrap), `docker`."""

    kind: str

    @property
    def network(self) -> NetworkMode:
        """When the boxes have one."""

    async def attach(self, job_id: UUID, *, fence: int | None = None, create: bool = False) -> Workspace:
        """Attach to the job's box, waking it if it sleeps, making it if `create`. A worker passes its fence:
        a lower one than the box has seen raises FenceLost, a higher one ends the lower's attachment.
        WorkspaceMissing without `create`; NoPlace; SandboxUnavailable."""

    async def status(self, job_id: UUID) -> BoxStatus:
        """Without waking anything: `none`, `running` or `asleep`."""

    async def stop(self, job_id: UUID) -> None:
        """Stop the box, keep its files. Idempotent. WorkspaceBusy while a worker is attached."""

    async def destroy(self, job_id: UUID) -> None:
        """Box and files go, whoever is attached. Idempotent; returns when they are gone."""

    async def boxes(self) -> frozenset[UUID]:
        """The jobs of which there is a box or files here."""

    async def rest(self) -> None:
        """Put to sleep what nobody has used for its idle time, where boxes do not do so by themselves, and
        remove what was left of examinations."""

    async def examine(self) -> Diagnosis:
        """Make a throw-away box and say how it went."""

    async def stop_all(self) -> None:
        """End every box, whoever is attached, and keep the files: for the supervisor's own end."""

    async def close(self) -> None:
        """Close this process's attachments; boxes go on."""

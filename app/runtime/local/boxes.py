"""One local box: its folder, its socket and its process. All functions block.

`<folder>/<job>/` is the folder of the app's box, and contains those of the job's other boxes: `bench`,
`trial-0` and so on. Each has `app` (the workspace), `sock` (made by us, inherited by the guest as a listening
socket), `box.json` (the process id, written by bubblewrap), `box.log` (the guest's stderr) and `lock` (a lock
file, held while the box is started or removed). The job's folder also has `fence` (the highest fence of a
worker).
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from app.runtime.guest.box import Config
from app.runtime.guest.walk import Walk, remove_now
from app.runtime.local.bubblewrap import MIB, Tools, box_arguments, box_uid, etc_files
from app.runtime.packing import VARIABLE, guest_boot, guest_source
from app.runtime.workspace import FenceLost, SandboxUnavailable, WorkspaceMissing
from app.runtime.worlds import BoxId, labelled

BACKLOG = 64
DEATH_S = 10.0
LOG_TAIL_BYTES = 2000
LAUNCH = '"$@" </dev/null >"$0" 2>&1 &'
"""The shell exits at once, so that the box is not our child: it outlives its starter and leaves no zombie."""


@dataclass(frozen=True)
class BoxLimits:
    """Limits in seconds, bytes and counts; see `guest.box.Config`. `memory_bytes` is resident memory, without
    the files in /scratch and /tmp, which have limits of their own."""

    idle_s: float = 900.0
    memory_bytes: int = 2 * 1024 * MIB
    disk_bytes: int = 2 * 1024 * MIB
    processes: int = 512


@contextlib.contextmanager
def _readable(text: str) -> Iterator[int]:
    """A descriptor from which `text` can be read. `text` must fit into the buffer of a pipe."""
    out, into = os.pipe()
    os.write(into, text.encode())
    os.close(into)
    try:
        yield out
    finally:
        os.close(out)


class LocalBox:
    """One box on this machine."""

    def __init__(self, folder: Path, box_id: BoxId) -> None:
        self.id = box_id
        self._job = folder / str(box_id.job_id)
        self.folder = self._job / box_id.label
        self.workspace = self.folder / "app"
        self._name = "/".join(filter(None, (str(box_id.job_id), box_id.label)))
        self._connected: int | None = None

    @cached_property
    def _uid(self) -> int | None:
        return box_uid(self.id)

    @property
    def exists(self) -> bool:
        return self.workspace.is_dir()

    @property
    def runs(self) -> bool:
        """Whether the box has a process that is neither stopped nor dead."""
        pid = self._process()
        if pid is None or not self._is_ours(pid):
            return False
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("T", "Z")
        return False

    def family(self) -> list["LocalBox"]:
        """All boxes of the job that have files here."""
        labels = [name for name in _names(self._job) if name != self.workspace.name]
        ids = {labelled(self.id.job_id, label) for label in ["", *labels]} - {None}
        boxes = [LocalBox(self._job.parent, box_id) for box_id in ids if box_id is not None]
        return [box for box in boxes if box.exists]

    def create(self) -> None:
        """Make the folders. Raises SandboxUnavailable, WorkspaceMissing."""
        try:
            self._job.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._job.mkdir(mode=0o700, exist_ok=True)
            with _held(self._job):  # the job may be removed just now
                self.folder.mkdir(mode=0o700, exist_ok=True)
                self.workspace.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise SandboxUnavailable(f"the workspace cannot be made: {error}") from error

    def note_fence(self, fence: int) -> None:
        """Record the highest fence, which has to outlive the guests. Raises FenceLost for a lower one, and
        WorkspaceMissing."""
        with _held(self._job):
            path = self._job / "fence"
            highest = int(path.read_text() or 0) if path.exists() else 0
            if fence < highest:
                raise FenceLost("a newer worker has taken this workspace over")
            if fence > highest:
                new = self._job / "fence.new"
                new.write_text(str(fence))
                new.replace(path)  # whoever is killed here leaves one whole number behind

    def connect(self) -> socket.socket | None:
        """A connection to the guest, or None if it does not run. Raises SandboxUnavailable."""
        try:
            with self._address() as address:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                connection.setblocking(False)
                try:
                    connection.connect(address)
                except OSError:
                    connection.close()
                    raise
                self._connected = self._process()
                return connection
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise SandboxUnavailable(f"the box cannot be reached: {error}") from error

    def start(self, tools: Tools, limits: BoxLimits) -> socket.socket:
        """Start the box unless it runs, and connect to it. Raises SandboxUnavailable, WorkspaceMissing."""
        with _held(self.folder):
            connection = self.connect()
            if connection is None:
                try:
                    self._start(tools, limits)
                except (OSError, subprocess.SubprocessError) as error:
                    raise SandboxUnavailable(f"the box cannot be started: {error}") from error
                connection = self.connect()
        if connection is None:
            raise SandboxUnavailable(f"the box did not start: {self.log_tail()}")
        return connection

    def log_tail(self) -> str:
        """The end of the guest's stderr."""
        with contextlib.suppress(OSError):
            return (self.folder / "box.log").read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return ""

    def kill(self) -> None:
        """End the box and wait up to `DEATH_S` for its end. All its processes die with the first one. If this
        object was connected to a box, a newer one in its place is left alone."""
        pid = self._process()
        if pid is None or self._connected not in (None, pid):
            return
        try:
            process = os.pidfd_open(pid)
        except OSError:
            return
        try:
            if self._is_ours(pid):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], DEATH_S)
        except ProcessLookupError:
            pass
        finally:
            os.close(process)

    def _process(self) -> int | None:
        try:
            return int(json.loads((self.folder / "box.json").read_text())["child-pid"])
        except (OSError, ValueError, KeyError):
            return None

    def _is_ours(self, pid: int) -> bool:
        """Whether this process is the box's. A process id may have been reused: the last argument of a box is
        its name."""
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{self._name}\0".encode())
        except OSError:  # it ended meanwhile
            return False

    def remove(self) -> None:
        """Kill the box and delete everything it had; that of the app takes the job's other boxes with it.
        Raises SandboxUnavailable."""
        try:
            with _held(self.folder):
                if not self.id.label:
                    for box in self.family():
                        if box.id != self.id:
                            box.remove()
                self.kill()
                remove_now(str(self.folder))
        except WorkspaceMissing:
            return
        except OSError as error:
            raise SandboxUnavailable(f"the box cannot be removed: {error}") from error

    @contextlib.contextmanager
    def _address(self) -> Iterator[str]:
        """A short path of the socket, through a descriptor: a socket's address has at most 107 bytes."""
        descriptor = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}/sock"
        finally:
            os.close(descriptor)

    def _start(self, tools: Tools, limits: BoxLimits) -> None:
        self.kill()  # an earlier box may have stopped listening but not ended yet
        self._own_workspace()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "sock").unlink()
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            with self._address() as address:
                listener.bind(address)
            listener.listen(BACKLOG)
            info = stack.enter_context(open(self.folder / "box.json", "w"))
            etc = {name: stack.enter_context(_readable(text)) for name, text in etc_files(self._uid).items()}
            config = Config(listener.fileno(), **asdict(limits), uid=self._uid)
            arguments = box_arguments(tools, self.workspace, self._uid, info.fileno(), etc)
            guest = [tools.python_in_box(), "-I", "-S", "-E", "-c", guest_boot(), self._name]
            subprocess.run(
                ["/bin/sh", "-c", LAUNCH, str(self.folder / "box.log"), *arguments, *guest],
                env={
                    **tools.environment(),
                    VARIABLE: guest_source(),
                    "BOARDROOM_BOX": json.dumps(vars(config)),
                },
                pass_fds=(listener.fileno(), info.fileno(), *etc.values()),
                start_new_session=True,
                cwd="/",
                check=True,
            )

    def _own_workspace(self) -> None:
        """As root, give the workspace to the job's user."""
        if self._uid is None or self.workspace.stat().st_uid == self._uid:
            return
        walk = Walk(str(self.workspace), bounded=False, with_git=True)
        for _, name, _ in walk:
            os.chown(name, self._uid, self._uid, dir_fd=walk.folder, follow_symlinks=False)
        os.chown(self.workspace, self._uid, self._uid)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. Raises WorkspaceMissing if it does not exist, or was removed while we
    waited."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(folder / "lock", "w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(file.fileno()), (folder / "lock").stat()):
                raise FileNotFoundError
        except FileNotFoundError:
            raise WorkspaceMissing("this job has no workspace any more") from None
        yield


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(folder)
    return []

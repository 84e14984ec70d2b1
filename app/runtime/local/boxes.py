"""One local box: its folder, its socket and its process. All functions block.

`<folder>/<job>/` contains `app` (the workspace), `sock` (made by us, inherited by the guest as a listening
socket), `box.json` (the process id, written by bubblewrap), `box.log` (the guest's stderr), `fence` (the
highest fence of a worker), `used` (its modification time is the last use) and `lock` (a lock file, held while
the box is started or removed).
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from uuid import UUID, uuid4

from app.runtime.guest.box import Config
from app.runtime.local.bubblewrap import MIB, Tools, box_arguments, etc_files, job_uid
from app.runtime.packing import VARIABLE, guest_boot, guest_source
from app.runtime.workspace import FenceLost, SandboxUnavailable, WorkspaceMissing

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
    """One job's box on this machine."""

    def __init__(self, folder: Path, job_id: UUID) -> None:
        self.job_id = job_id
        self.folder = folder / str(job_id)
        self.workspace = self.folder / "app"
        self._connected: int | None = None

    @cached_property
    def _uid(self) -> int | None:
        return job_uid(self.job_id)

    @property
    def exists(self) -> bool:
        return self.workspace.is_dir()

    def create(self) -> None:
        """Make the folders. Raises SandboxUnavailable."""
        try:
            self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self.workspace.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            raise SandboxUnavailable(f"the workspace cannot be made: {error}") from error

    def note_fence(self, fence: int) -> None:
        """Record the highest fence, which has to outlive the guest. Raises FenceLost for a lower one, and
        WorkspaceMissing."""
        with self.lock():
            path = self.folder / "fence"
            highest = int(path.read_text() or 0) if path.exists() else 0
            if fence < highest:
                raise FenceLost("a newer worker has taken this workspace over")
            if fence > highest:
                new = self.folder / "fence.new"
                new.write_text(str(fence))
                new.replace(path)  # whoever is killed here leaves one whole number behind

    def note_use(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / "used").touch()

    @property
    def used(self) -> float:
        """When the box was used last (Unix time); 0 if never."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "used").stat().st_mtime
        return 0.0

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock. Raises WorkspaceMissing if the box does not exist, or was removed while we
        waited."""
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self.folder / "lock", "w"))
                fcntl.flock(file, fcntl.LOCK_EX)
                self.folder.stat()
            except FileNotFoundError:
                raise WorkspaceMissing("this job has no workspace any more") from None
            yield

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
        with self.lock():
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
            # The process id may have been reused: the last argument of a box is its job.
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"\0{self.job_id}\0".encode()):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], DEATH_S)
        except (FileNotFoundError, ProcessLookupError):
            pass
        finally:
            os.close(process)

    def _process(self) -> int | None:
        try:
            return int(json.loads((self.folder / "box.json").read_text())["child-pid"])
        except (OSError, ValueError, KeyError):
            return None

    def remove(self) -> None:
        """Kill the box and delete everything it had. Raises SandboxUnavailable."""
        try:
            with self.lock():
                self.kill()
                _remove_tree(self.folder)
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
            guest = [tools.python_in_box(), "-I", "-S", "-E", "-c", guest_boot(), str(self.job_id)]
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
        for _, folders, files, descriptor in os.fwalk(self.workspace):
            for name in folders + files:
                os.chown(name, self._uid, self._uid, dir_fd=descriptor, follow_symlinks=False)
        os.chown(self.workspace, self._uid, self._uid)


def _remove_tree(root: Path) -> None:
    """Delete a folder of a job, however deep it is. Inner folders are first moved to the top, because a path
    has at most 4096 bytes and `shutil.rmtree` is recursive. The job may have removed permissions, which are
    restored."""
    while folders := [entry.path for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]:
        for folder in folders:
            os.chmod(folder, 0o700)
            for entry in list(os.scandir(folder)):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.path, 0o700)  # to move a folder, it has to be writable itself
                    os.rename(entry.path, root / uuid4().hex)
                else:
                    os.unlink(entry.path)
            os.rmdir(folder)
    shutil.rmtree(root)

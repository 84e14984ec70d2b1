"""Finds out why no local box can be made on this machine, and what the operator has to do about it."""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from app.runtime.local.bubblewrap import Tools, base_python, box_uid, find_bwrap, find_git
from app.runtime.runtime import Diagnosis
from app.runtime.worlds import BoxId

KIND = "local"
TRIAL_S = 20
NO_BWRAP = "Install the package bubblewrap (apt install bubblewrap), or reinstall Boardroom's requirements."
NO_GIT = "Install git (apt install git), or reinstall Boardroom's requirements."
APPARMOR = """\
AppArmor keeps ordinary users from making namespaces. As root, write /etc/apparmor.d/boardroom-bwrap:
  abi <abi/4.0>,
  include <tunables/global>
  profile boardroom-bwrap "{bwrap}" flags=(unconfined) {{
    userns,
  }}
and load it: apparmor_parser -r /etc/apparmor.d/boardroom-bwrap
(or, for the whole machine: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0)"""
USERNS_CLONE = "As root: sysctl -w kernel.unprivileged_userns_clone=1"
USERNS_MAX = "As root: sysctl -w user.max_user_namespaces=15000"
CONTAINER = """\
This looks like a container that may not make namespaces. Run it with --security-opt seccomp=unconfined
--security-opt apparmor=unconfined (and, as root, --cap-add SYS_ADMIN), or run Boardroom outside of it."""
KERNEL = (
    "Boxes need user, mount, pid and network namespaces; enable them in the kernel or use another machine."
)


@dataclass(frozen=True)
class Search:
    """Settings: the path of bubblewrap, and the Python of the boxes. Empty means: to be found."""

    bwrap: str = ""
    python: Path | None = None


def find_tools(search: Search) -> Tools | Diagnosis:
    """The programs for boxes, or why there can be none. It tries to make an empty box; if that fails, once
    more without `hardened`, which older versions of bubblewrap and some containers refuse. Blocks."""
    bwrap, git = find_bwrap(search.bwrap), find_git()
    if bwrap is None:
        return Diagnosis(KIND, False, "There is no bubblewrap here.", NO_BWRAP)
    if git is None:
        return Diagnosis(KIND, False, "There is no git here.", NO_GIT)
    tools = Tools(bwrap, search.python or base_python(), git)
    problem = _try(tools)
    if not problem:
        return tools
    milder = replace(tools, hardened=False)
    return milder if not _try(milder) else explain(tools, problem)


def explain(tools: Tools, problem: str) -> Diagnosis:
    """The diagnosis for an error message of bubblewrap."""
    detail = f"{tools.bwrap} cannot make a box: {problem.strip() or 'it said nothing'}"
    return Diagnosis(KIND, False, detail, _remedy(tools))


def _remedy(tools: Tools) -> str:
    if os.geteuid() != 0:
        if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
            return APPARMOR.format(bwrap=tools.bwrap)
        if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
            return USERNS_CLONE
    if _read("/proc/sys/user/max_user_namespaces") == "0":
        return USERNS_MAX
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return CONTAINER
    return KERNEL


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _try(tools: Tools) -> str:
    """The error message of bubblewrap for an empty box; empty if it can be made."""
    uid = box_uid(BoxId(UUID(int=0)))
    argv = [
        str(tools.bwrap),
        *tools.isolation(uid),
        *tools.filesystem(),
        "--remount-ro",
        "/",
        "--",
        "/bin/true",
    ]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=TRIAL_S, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace") or f"exit {done.returncode}"

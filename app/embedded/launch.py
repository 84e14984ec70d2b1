"""Become a server that ends with its parent: `python -I -S launch.py PARENT SIGNAL IDENTITY PROGRAM ARG...`.

Run as a file; standard library only. PARENT is the pid of the starting process. When that process dies, in
whatever way, the kernel sends SIGNAL (a number) to the server. Identities:

self       keep the present user; namespace  root outside, uid 65534 inside a user namespace: PostgreSQL
refuses to run as root but runs like this, and its files belong to root; nobody     uid 65534, for containers
that forbid namespaces. It keeps one capability (CAP_DAC_OVERRIDE), to reach a program or a data folder below
a private folder such as /root.
"""

import ctypes
import os
import sys
from pathlib import Path

NOBODY = 65534

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CLONE_NEWUSER = 0x10000000
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_namespace() -> None:
    checked(libc.unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")


def become_nobody() -> None:
    checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    wanted = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(wanted, wanted, wanted)  # effective, permitted, inheritable; upper half 0
    checked(libc.capset(header, sets))
    checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


IDENTITIES = {"self": lambda: None, "namespace": enter_namespace, "nobody": become_nobody}


def main() -> None:
    parent, signal, identity, *command = sys.argv[1:]
    IDENTITIES[identity]()
    # Last, because a change of identity clears it. Then check whether the parent has died before this call.
    checked(libc.prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0))
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
    os.execv(command[0], command)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()

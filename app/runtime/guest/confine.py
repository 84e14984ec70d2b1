"""Gives up privileges, for the guest and for every process that it starts."""

import ctypes
import errno
import os
import struct

from .process import LIBC, PR_SET_DUMPABLE

PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
CAPABILITIES = 64
CAPSET_VERSION_3 = 0x20080522

CLONE_NEWUSER = 0x10000000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOW, FAIL, SECCOMP_MODE_FILTER = 0x7FFF0000, 0x00050000, 2
CLONE3 = 435
X32 = 0x40000000
CALLS = {
    "x86_64": (0xC000003E, 272, 56, (248, 249, 250)),
    "aarch64": (0xC00000B7, 97, 220, (217, 218, 219)),
}
"""For each architecture: its audit number, and the numbers of `unshare`, `clone`, and of `add_key`,
`request_key` and `keyctl`; from linux/audit.h and asm/unistd.h."""


def confine(uid: int | None) -> None:
    """Change to user `uid`, if one is given, without any capability; then make sure that no process can gain
    one, by a set-user-ID program or in a new user namespace. Raises OSError if the kernel refuses."""
    if uid is not None:
        for capability in range(CAPABILITIES):
            LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # Changing the user clears all sets of capabilities except the inheritable one.
        header = (ctypes.c_uint32 * 2)(CAPSET_VERSION_3, 0)
        _must(LIBC.capset(header, (ctypes.c_uint32 * 6)()))
    _must(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # The job runs as the same user. This denies it /proc/1/mem, fd and environ.
    _must(LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    if os.uname().machine in CALLS:
        _forbid(*CALLS[os.uname().machine])


def _forbid(architecture: int, unshare: int, clone: int, keys: tuple[int, ...]) -> None:
    """Install a seccomp filter. It forbids the kernel's keys, which outlive the processes that made them, and
    new user namespaces, in which a process would have every capability and so could reach much more of the
    kernel. A filter cannot see the flags of `clone3`, so that call fails
    with ENOSYS; C libraries then use `clone`."""
    refuse, missing = FAIL | errno.EPERM, FAIL | errno.ENOSYS
    program = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (EQUAL, 0, 7 + len(keys), architecture),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 5 + len(keys), 0, X32),
        (EQUAL, 6 + len(keys), 0, CLONE3),
        *((EQUAL, 3 + left, 0, key) for left, key in zip(range(len(keys), 0, -1), keys, strict=True)),
        (EQUAL, 1, 0, unshare),
        (EQUAL, 0, 3, clone),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (ANY_BIT, 0, 1, CLONE_NEWUSER),
        (RETURN, 0, 0, refuse),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, missing),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    _must(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header), 0, 0))


def _must(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

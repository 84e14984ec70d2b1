"""The folder in which the processes of one service share their metrics. The supervisor uses it without
loading what counts them."""

import os
import shutil
from importlib import import_module
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder; its name is prometheus-client's."""


KINDS = ("counter", "histogram", "gauge_livesum")
"""Of our metrics. Each process has a file for each."""

FILE_BYTES = 512 * 1024
"""Several times of what our metrics take in a file."""


def reserve_room() -> None:
    """Reserve this process's part of the folder on the disk; on a full disk the process counts for itself.
    prometheus-client maps files into memory that have room in their length only, and whoever then writes to
    a full disk is ended by SIGBUS. Call it before prometheus-client is imported."""
    if VARIABLE not in os.environ:
        return
    files = [Path(os.environ[VARIABLE]) / f"{kind}_{os.getpid()}.db" for kind in KINDS]
    try:
        for file in files:
            with file.open("ab") as opened:
                os.posix_fallocate(opened.fileno(), 0, FILE_BYTES)
    except OSError:
        for file in files:
            file.unlink(missing_ok=True)
        del os.environ[VARIABLE]


def share(folder: Path) -> dict[str, str]:
    """Empty `folder`; returns the environment with which child processes share their metrics there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return {VARIABLE: str(folder)}


def forget_process(folder: Path, pid: int) -> None:
    """Remove the gauges of a process that has ended."""
    import_module("prometheus_client.multiprocess").mark_process_dead(pid, str(folder))

"""The folder in which the processes of one service share their metrics. The supervisor uses it without
loading what counts them."""

import shutil
from importlib import import_module
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the folder; its name is prometheus-client's."""


def share(folder: Path) -> dict[str, str]:
    """Empty `folder`; returns the environment with which child processes share their metrics there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return {VARIABLE: str(folder)}


def forget_process(folder: Path, pid: int) -> None:
    """Remove the gauges of a process that has ended."""
    import_module("prometheus_client.multiprocess").mark_process_dead(pid, str(folder))

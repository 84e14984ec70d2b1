"""Finds the container engine of this machine."""

import os
from pathlib import Path

USUAL_ENGINE = "unix:///var/run/docker.sock"


def find_engine(docker_host: str = "") -> str:
    """The address `docker_host` if it is set, otherwise the first of the usual sockets that this user may
    read and write; empty if there is none."""
    if docker_host:
        return docker_host
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")
    usual = (
        "/var/run/docker.sock",
        f"{runtime_dir}/docker.sock",
        str(Path.home() / ".docker" / "run" / "docker.sock"),
        "/run/podman/podman.sock",
        f"{runtime_dir}/podman/podman.sock",
    )
    return next((f"unix://{path}" for path in usual if os.access(path, os.R_OK | os.W_OK)), "")

"""What a container may and may not, in one table; each line is proven from inside a box by a test."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.domain.workspace import NetworkMode
from app.runtime.guest.box import Config
from app.runtime.packing import VARIABLE, guest_boot, guest_source

DEFAULT_IMAGE = "boardroom-workspace"
"""What `make workspace-image` makes."""
MIB = 1024 * 1024
JOB_UID = 1000
RELAY_UID = 1001
"""Who brings attachments to the guest; nobody in the box can become it."""
HEADROOM = 0.9
"""The guest ends the largest command at this part of a limit, before the kernel ends anything."""


@dataclass(frozen=True)
class ContainerLimits:
    """Seconds, bytes, counts, processors. `memory_bytes` is everything, with files in /tmp and /dev/shm, and
    there is no swap beside it; `disk_bytes` is of /app and /scratch together, counted by the guest."""

    idle_s: float = 900.0
    memory_bytes: int = 2 * 1024 * MIB
    cpus: float = 2.0
    processes: int = 512
    disk_bytes: int = 3 * 1024 * MIB
    tmp_bytes: int = 256 * MIB
    shm_bytes: int = 64 * MIB
    open_files: int = 4096


@dataclass(frozen=True)
class Recipe:
    """What each container is made of. `oci_runtime` is the engine's word (`runsc`); "" for its default."""

    image: str
    limits: ContainerLimits = ContainerLimits()
    oci_runtime: str = ""
    network: NetworkMode = "none"

    @cached_property
    def version(self) -> str:
        """Changes with the guest and with everything in this file: a container of another one is replaced."""
        parts = [guest_source(), guest_boot(), container_config(self, "", {}), self.network]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def container_config(recipe: Recipe, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """The body of the engine's `containers/create`; its volumes are `<name>-app` and `<name>-scratch`."""
    limits = recipe.limits
    guest = Config(
        listener=None,
        idle_s=limits.idle_s,
        memory_bytes=math.floor(limits.memory_bytes * HEADROOM),
        disk_bytes=limits.disk_bytes,
        processes=math.floor(limits.processes * HEADROOM),
        relay_uid=RELAY_UID,
    )
    return {
        "Image": recipe.image,
        "Entrypoint": [],
        "Cmd": ["python3", "-I", "-S", "-c", guest_boot()],
        "Env": [
            f"{VARIABLE}={guest_source()}",
            f"BOARDROOM_BOX={json.dumps(vars(guest))}",
            "HOME=/scratch/home",
            "LANG=C.UTF-8",
            "TERM=dumb",
            "USER=app",
            "PYTHONUNBUFFERED=1",
        ],
        "Labels": dict(labels),
        "Hostname": "boardroom",
        "WorkingDir": "/app",
        "User": f"{JOB_UID}:{JOB_UID}",
        "StopSignal": "SIGKILL",  # the guest is deaf to all others
        "OpenStdin": True,  # for who makes it, see `Engine.join`
        "StdinOnce": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],  # and the engine's own seccomp profile
            "Privileged": False,
            "ReadonlyRootfs": True,
            "Mounts": [
                _volume(f"{name}-app", "/app", labels),
                _volume(f"{name}-scratch", "/scratch", labels),
            ],
            "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={limits.tmp_bytes}"},  # noqa: S108
            "ShmSize": limits.shm_bytes,
            "Memory": limits.memory_bytes,
            "MemorySwap": limits.memory_bytes,
            "NanoCpus": round(limits.cpus * 1e9),
            "PidsLimit": limits.processes,
            "Ulimits": [
                {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
                {"Name": "core", "Soft": 0, "Hard": 0},
            ],
            "LogConfig": {
                "Type": "none",
                "Config": {},
            },  # stdout is an attachment, full of the client's files
            "NetworkMode": "none",  # see `network.Network`
            "IpcMode": "private",
            "PidMode": "",
            "Init": False,  # a job's `kill -9 -1` would end an init, and the box with it
            "RestartPolicy": {"Name": "no"},
            "Runtime": recipe.oci_runtime,
        },
    }


def _volume(name: str, target: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Where it has gone meanwhile the engine makes it anew, with labels by which it is found."""
    options = {"Labels": dict(labels)}
    return {"Type": "volume", "Source": name, "Target": target, "VolumeOptions": options}

"""The rights and limits of a container, in one table. Tests verify each line from inside a box."""

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
"""The image that `make workspace-image` builds."""
MIB = 1024 * 1024
JOB_UID = 1000
RELAY_UID = 1001
"""The user of relays, which bring attachments to the guest. No process of the job can become this user."""
HEADROOM = 0.9
"""At this share of a limit the guest ends the largest command, so that the kernel does not have to choose."""


@dataclass(frozen=True)
class ContainerLimits:
    """Limits in seconds, bytes, counts and processors. `memory_bytes` includes files in /tmp and /dev/shm,
    and there is no swap beyond it. `disk_bytes` is for /app and /scratch together and is enforced by the
    guest."""

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
    """How each container is made. `oci_runtime` is the engine's name of a runtime (such as `runsc`); empty
    for its default."""

    image: str
    limits: ContainerLimits = ContainerLimits()
    oci_runtime: str = ""
    network: NetworkMode = "none"

    @cached_property
    def version(self) -> str:
        """A digest of the guest, the container's configuration and the network mode. A container with another
        version is replaced."""
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
        "StopSignal": "SIGKILL",  # the guest ignores all other signals
        "OpenStdin": True,  # for the process that makes it, see `Engine.join`
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
            },  # stdout carries calls to the guest, with the client's files
            "NetworkMode": "none",  # see `network.Network`
            "IpcMode": "private",
            "PidMode": "",
            "Init": False,  # `kill -9 -1` in a job would end an init process, and the box with it
            "RestartPolicy": {"Name": "no"},
            "Runtime": recipe.oci_runtime,
        },
    }


def _volume(name: str, target: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A mount of a volume. The labels are for the engine, which makes the volume if it does not exist."""
    options = {"Labels": dict(labels)}
    return {"Type": "volume", "Source": name, "Target": target, "VolumeOptions": options}

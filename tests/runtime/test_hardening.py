"""Tests of containers only: each line of their hardening, and their limits."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from app.runtime.docker.hardening import MIB, ContainerLimits, Recipe, container_config
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.docker.trial import LOOK
from app.runtime.workspace import Workspace
from tests.helpers.boxes import CGROUP, ENGINE, docker_runtime, output_of
from tests.helpers.waiting import until

EATER = "python3 -c \"x=[]\nwhile 1: x.append(bytearray(b'x') * (5 << 20))\""

INSIDE = {
    "user": ("id -u; id -g", "1000\n1000"),
    "no capability": ("grep -c -E '^Cap(Inh|Prm|Eff|Bnd|Amb):.0{16}$' /proc/self/status", "5"),
    "no new privileges": ("grep NoNewPrivs /proc/self/status | cut -f2", "1"),
    "seccomp": ("grep -w Seccomp: /proc/self/status | cut -f2", "2"),
    "read-only root": ("touch /usr/x /etc/x /x 2>&1 | grep -c 'Read-only file system'", "3"),
    "volumes": ("grep -E ' (/app|/scratch) ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", "rw\nrw"),
    "sized /tmp": ("head -c 30M /dev/zero 2>&- > /tmp/x; wc -c < /tmp/x; rm /tmp/x", str(20 * MIB)),
    "sized /dev/shm": ("cd /dev/shm; head -c 30M /dev/zero 2>&- > x; wc -c < x; rm x", str(10 * MIB)),
    "memory": (CGROUP.format("memory.max", "memory/memory.limit_in_bytes"), str(200 * MIB)),
    "no swap": ("grep -c . /proc/swaps", "1"),
    "processes": (CGROUP.format("pids.max", "pids/pids.max"), "64"),
    "open files": ("ulimit -n; ulimit -Hn", "256\n256"),
    "no core files": ("ulimit -c", "0"),
    "no network": ("ls /sys/class/net | grep -v -e tunl -e sit -e gre -e ip6", "lo"),
    "no engine socket": ("ls /var/run/docker.sock /run/docker.sock 2>&1 | grep -c 'No such file'", "2"),
    "no setuid program": ("find / -xdev -perm /6000 -type f 2>/dev/null | wc -l", "0"),
    "no device": ("ls /dev | grep -c -e sd -e vd -e kmsg -e mem", "0"),
}  # fmt: skip


@pytest.fixture
async def tight(docker: DockerRuntime) -> AsyncIterator[Workspace]:
    workspace = await docker.attach(uuid4(), fence=1, create=True)
    yield workspace
    await workspace.close()


async def test_each_line_of_the_hardening_holds_inside(tight: Workspace) -> None:
    found = {name: (await tight.run(line, timeout_s=30)).output.strip() for name, (line, _) in INSIDE.items()}
    assert found == {name: expected for name, (_, expected) in INSIDE.items()}


async def test_the_cpu_time_of_a_box_is_limited(tight: Workspace) -> None:
    spin = (
        "import time\ne = time.monotonic() + 2\nwhile time.monotonic() < e: pass\nprint(time.process_time())"
    )
    assert float(await output_of(tight, f"python3 -c '{spin}'")) < 1.4, "half a processor for two seconds"


async def test_too_much_memory_ends_the_command_and_is_named(tight: Workspace) -> None:
    for _ in range(2):
        result = await tight.run(EATER, timeout_s=30)
        assert result.exit_code != 0
        assert "memory limit" in result.output, result
    assert (await tight.run("true", timeout_s=10)).exit_code == 0


async def test_a_fork_bomb_stays_in_its_box(tight: Workspace) -> None:
    result = await tight.run("b() { b | b & b; }; b; sleep 30", timeout_s=3)
    assert result.exit_code != 0 or result.timed_out

    async def calm() -> bool:
        return (await tight.run("true", timeout_s=5)).exit_code == 0

    await until(calm)


async def test_where_the_engine_bounds_no_processes_the_guest_does(
    docker_boxes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rootless engine without cgroups takes the limit and leaves it out."""

    def unbounded(recipe: Recipe, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
        config = container_config(recipe, name, labels)
        return {**config, "HostConfig": {**config["HostConfig"], "PidsLimit": 0}}

    monkeypatch.setattr("app.runtime.docker.boxes.container_config", unbounded)
    limits = ContainerLimits(idle_s=60, processes=5000)
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", host=ENGINE, limits=limits)
    job = uuid4()
    workspace = await runtime.attach(job, create=True)
    assert "no limit" in await output_of(workspace, LOOK)
    assert (await output_of(workspace, "grep processes /proc/self/limits")).split()[2] == "4500"
    await runtime.destroy(job)
    await runtime.close()


@pytest.mark.parametrize("folder", ["/app", "/scratch"])
async def test_a_full_disk_ends_the_command_and_is_named(tight: Workspace, folder: str) -> None:
    fill = f"i=0; while :; do i=$((i+1)); head -c 8000000 /dev/zero > {folder}/f$i; sleep 0.3; done"
    result = await tight.run(fill, timeout_s=40)
    assert (result.exit_code, result.timed_out) == (None, False)
    assert "disk limit" in result.output
    await tight.run(f"rm {folder}/f*", timeout_s=10)
    assert (await tight.save("a", b"1")).size == 1

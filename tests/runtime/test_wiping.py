"""What a check leaves in a trial, and that the next check meets none of it; in every kind of box."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.domain.conversation import Agent
from app.domain.ticket import CommandCheck
from app.runtime.runtime import Runtime
from app.runtime.workspace import NotClean, Workspace
from app.runtime.worlds import World
from tests.helpers.boxes import output_of, sleepers

LEAVE = r"""
import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
for folder in ("/app", "/scratch", "/scratch/home", "/scratch/kept", "/tmp", "/dev/shm"):
    os.makedirs(f"{folder}/left/deep", exist_ok=True)
    open(f"{folder}/left/deep/file", "w").write("secret")
    os.symlink("/", f"{folder}/link")
    os.mkfifo(f"{folder}/fifo")
    os.chmod(f"{folder}/left", 0)
os.makedirs("/app/.git/hooks", exist_ok=True)
os.chmod("/app", 0o777)
try:
    os.setxattr("/app", "user.left", b"x")
except OSError:
    pass
for _ in range(1500):
    os.mkdir("d"); os.chdir("d")
for _ in range(5):
    loop = "trap '' HUP TERM; while :; do sleep 987; done"
    subprocess.Popen(["sh", "-c", loop], start_new_session=True)
print("shm", libc.shmget(4711, 4096, 0o1666) >= 0)
print("sem", libc.semget(4711, 1, 0o1666) >= 0)
print("msg", libc.msgget(4711, 0o1666) >= 0)
print("mq", libc.mq_open(b"/left", os.O_CREAT | os.O_RDWR, 0o666, None) >= 0)
print("key", libc.syscall(248, b"user", b"left", b"x", 1, -4) >= 0)
"""
"""What hostile code leaves. 248 is `add_key` of x86_64."""

LOOK = r"""
find /app /scratch /tmp /dev/shm -mindepth 1 2>&1 | grep -v -x -e /scratch/home
stat -c '%a' /app
for kind in shm sem msg; do tail -n +2 /proc/sysvipc/$kind; done
python3 -c 'import os; print(os.listxattr("/app"))'
ls /dev/mqueue 2>/dev/null
true
"""


@pytest.fixture
async def trial(runtime: Runtime, job: UUID) -> AsyncIterator[Workspace]:
    workspace = await runtime.attach(job, world=World.TRIAL, slot=3, fence=1, create=True)
    yield workspace
    await workspace.close()


async def test_nothing_of_a_check_is_met_by_the_next(trial: Workspace) -> None:
    clean = await output_of(trial, LOOK)
    for _ in range(2):
        left = await output_of(trial, f"python3 - <<'END'\n{LEAVE}\nEND")
        assert left.split("\n")[-5:] == ["shm True", "sem True", "msg True", "mq False", "key False"]
        assert len(await output_of(trial, LOOK)) > 1000
        await trial.wipe(within_s=60)
        assert await output_of(trial, LOOK) == clean
        assert await sleepers(trial) == 0
        assert await trial.head() is None
        await trial.save("a", b"1")
        await trial.commit("a new beginning", "Builder")


async def test_a_commit_is_learned_again_whatever_a_check_has_done_to_it(
    runtime: Runtime, trial: Workspace, job: UUID
) -> None:
    """Git reads it only once: what the guest has kept of that is not within the reach of a check."""
    bench = await runtime.attach(job, world=World.BENCH, fence=1, create=True)
    for content in (b"one", b"two"):
        await bench.save("a", content)
        commit = await bench.commit("of the Builder", Agent.BUILDER)
        for _ in range(2):
            await trial.wipe()
            await trial.learn(bench.pack(commit.sha, None))
            check = CommandCheck(id="c1", criterion=0, kind="command", run=f"grep -qx {content.decode()} a")
            assert (await trial.check(commit.sha, check)).passed
            await output_of(
                trial, "for f in .git/objects/pack/* .git/HEAD; do chmod u+w $f; echo x > $f; done"
            )
    await bench.close()


async def test_a_commit_is_learned_twice_by_a_box_that_is_not_wiped(runtime: Runtime, job: UUID) -> None:
    """As by the client's app, when the next worker takes up a change of it."""
    bench = await runtime.attach(job, world=World.BENCH, fence=1, create=True)
    await bench.save("a", b"one")
    commit = await bench.commit("of the Builder", Agent.BUILDER)
    app = await runtime.attach(job, fence=1, create=True)
    for _ in range(3):
        await app.learn(bench.pack(commit.sha, None))
    await app.hold()
    await app.switch(None, commit.sha)
    assert await output_of(app, "cat a") == "one"
    await bench.close()
    await app.close()


async def test_a_box_that_is_not_empty_in_time_says_so_and_is_discarded(
    runtime: Runtime, job: UUID, trial: Workspace
) -> None:
    await trial.save("left", b"1")
    with pytest.raises(NotClean, match="not clean"):
        await trial.wipe(within_s=0)
    await runtime.discard(job, World.TRIAL, 3)
    again = await runtime.attach(job, world=World.TRIAL, slot=3, fence=1, create=True)
    assert (await again.list("/app", 10)).structure == []
    await again.close()


async def test_only_a_trial_is_wiped(runtime: Runtime, job: UUID) -> None:
    for world in (World.APP, World.BENCH):
        for fence in (None, 1):
            workspace = await runtime.attach(job, world=world, fence=fence, create=True)
            await workspace.save("a", b"1") if fence else None
            with pytest.raises(ValueError, match="trial"):
                await workspace.wipe()
            await workspace.close()

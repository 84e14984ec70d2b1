"""The job swaps folders and files for links out of /app as fast as it can, while its client reads and saves
through them: nothing outside is read or written (S8). On each kind of box that can be made here."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest

from app.domain.errors import Refusal
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import output_of, proxy, reasons, runtime

__all__ = ["proxy", "reasons", "runtime"]  # fixtures

pytestmark = pytest.mark.campaign

CALLS = 20_000
"""Reads and saves; listings come on top."""

CLIENTS = 4

SWAP = """
import ctypes, os
libc = ctypes.CDLL(None)
def exchange(one, other):
    assert libc.renameat2(-100, one.encode(), -100, other.encode(), 2) == 0
os.makedirs("/scratch/outside")
for name in ("file", "new"):
    open(f"/scratch/outside/{name}", "w").write("canary")
os.mkdir("/app/folder")
for path in ("/app/folder/file", "/app/file"):
    open(path, "w").write("inside")
os.symlink("/scratch/outside", "/app/absolute")
os.symlink("../scratch/outside", "/app/relative")
os.symlink("absolute", "/app/chained")
os.symlink("/proc/self/root/scratch/outside", "/app/through-proc")
os.symlink("/scratch/outside/file", "/app/to-file")
print("swapping", flush=True)
swaps = 0
while not os.path.exists("/app/enough"):
    for link in ("absolute", "relative", "chained", "through-proc"):
        exchange("/app/folder", f"/app/{link}")
        exchange("/app/folder", f"/app/{link}")
    exchange("/app/file", "/app/to-file")
    exchange("/app/file", "/app/to-file")
    swaps += 10
print("swaps:", swaps, flush=True)
"""
"""`renameat2` with RENAME_EXCHANGE: at every moment there is a folder or a link under the name."""

CANARIES = "cd /scratch/outside && ls && cat file new"


async def test_no_swapped_link_leads_out(runtime: Runtime) -> None:
    job_id = uuid4()
    workspace = await runtime.attach(job_id, fence=1, create=True)
    await workspace.save("swap.py", SWAP.encode())
    started = asyncio.Event()
    swapping = asyncio.create_task(
        workspace.run("python3 swap.py", timeout_s=1200, on_output=lambda _: started.set())
    )
    await started.wait()
    outcomes: Counter[str] = Counter()
    async with asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(_call(workspace, number, outcomes))
    await workspace.save("enough", b"")
    ended = await swapping
    assert ended.exit_code == 0, ended.output
    canaries = await output_of(workspace, CANARIES)
    await workspace.close()
    await runtime.destroy(job_id)
    swaps = ended.output.split()[-1]
    print(f"\nrace: {type(runtime).__name__}: {outcomes.total()} calls {dict(outcomes)}, {swaps} swaps")
    assert canaries == "file\nnew\ncanarycanary"
    assert {"read", "saved", "listed", "refused"} <= set(outcomes)


async def _call(workspace: Workspace, number: int, outcomes: Counter[str]) -> None:
    """One client's share of the calls."""
    for turn in range(number, CALLS // CLIENTS // 2 + number):
        for call in (_list, _read, _save) if turn % 10 == 0 else (_read, _save):
            try:
                outcomes[await call(workspace, turn)] += 1
            except Refusal:
                outcomes["refused"] += 1


async def _read(workspace: Workspace, turn: int) -> str:
    content = (await workspace.read(("folder/file", "file")[turn % 2])).content
    assert b"canary" not in content
    return "read"


async def _save(workspace: Workspace, turn: int) -> str:
    await workspace.save(("folder/new", "folder/deep/new", "file")[turn % 3], b"inside")
    return "saved"


async def _list(workspace: Workspace, turn: int) -> str:
    names = {node.name for node in (await workspace.list("folder", 10)).structure}
    assert names <= {"file", "new", "deep"}
    return "listed"

"""No process, port, file, environment or address of one world is seen by another, while each is hostile."""

import asyncio
from uuid import UUID

from app.domain.workspace import Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from app.runtime.worlds import World
from tests.helpers.boxes import output_of

PLACES = "/app /scratch /scratch/home /tmp /dev/shm"
HOSTILE = r"""
import ctypes, os, socket, subprocess
mark = os.environ["MARK"]
for folder in "PLACES".split():
    open(f"{folder}/{mark}", "w").write(mark)
libc = ctypes.CDLL(None)
libc.shmget(4711, 4096, 0o1666)
subprocess.Popen([mark, "987"], executable="sleep", start_new_session=True)
for host in ("127.0.0.1", "0.0.0.0"):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind((host, 4711))
    server.listen()
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0meet")
abstract.listen()
print("up", flush=True)
while True:
    socket.socket().close() or __import__("time").sleep(1)
"""
LOOK = r"""
import os, socket
seen = []
mine = os.environ["MARK"]
others = [mark for mark in os.environ["MARKS"].split() if mark != mine]
for number in filter(str.isdigit, os.listdir("/proc")):
    for name in ("cmdline", "environ"):
        try:
            said = open(f"/proc/{number}/{name}", "rb").read()
        except OSError:
            continue
        own = b"MARKS=" in said
        seen += [(number, name, mark) for mark in others if mark.encode() in said and not own]
for folder in "PLACES".split():
    seen += [(folder, name) for name in os.listdir(folder) if name in others]
for target in (("127.0.0.1", 4711), ("127.0.0.1", int(os.environ["APP_PORT"])), "\0meet"):
    kind = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
    with socket.socket(kind) as probe:
        seen += [target] if probe.connect_ex(target) == 0 else []
for line in open("/proc/net/unix"):
    seen += [line] if "@meet" in line else []
seen += list(open("/proc/sysvipc/shm"))[1:]
print(seen)
"""


async def hostile(box: Workspace, mark: str) -> "asyncio.Task[object]":
    """A program that shows itself wherever it can; returned when it does."""
    said: list[str] = []
    changed = asyncio.Event()

    def hear(text: str) -> None:
        said.append(text)
        changed.set()

    line = f"python3 - <<'END'\n{HOSTILE.replace('PLACES', PLACES)}\nEND"
    running = asyncio.create_task(box.run(line, timeout_s=120, env={"MARK": mark}, on_output=hear))
    await asyncio.wait_for(changed.wait(), 60)
    assert "".join(said).strip() == "up"
    return running


async def test_no_world_sees_anything_of_another_while_each_is_hostile(runtime: Runtime, job: UUID) -> None:
    worlds = {
        "app": (World.APP, 0),
        "bench": (World.BENCH, 0),
        "one": (World.TRIAL, 0),
        "two": (World.TRIAL, 1),
    }
    marks = {name: f"mark-of-{name}" for name in worlds}
    boxes = {
        name: await runtime.attach(job, world=world, slot=slot, fence=1, create=True)
        for name, (world, slot) in worlds.items()
    }
    started = await boxes["app"].start_app(Manifest(start="exec python3 -m http.server $PORT"))
    assert started.answering
    look = LOOK.replace("PLACES", PLACES)
    for watcher, box in boxes.items():
        others = [name for name in boxes if name != watcher]
        running = [await hostile(boxes[name], marks[name]) for name in others]
        port = 1 if watcher == "app" else started.port
        env = {"MARK": marks[watcher], "MARKS": " ".join(marks.values()), "APP_PORT": str(port)}
        said = await box.run(f"python3 - <<'END'\n{look}\nEND", timeout_s=30, env=env)
        assert (said.exit_code, said.output) == (0, "[]\n"), watcher
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for name in others:
            await output_of(boxes[name], "ipcrm -M 4711 2>/dev/null; true")
    # Ending everybody in one world ends nobody in another.
    await boxes["one"].wipe(within_s=60)
    assert (await boxes["app"].app_status()).answering
    for box in boxes.values():
        await box.close()

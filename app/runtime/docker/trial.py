"""Makes a throw-away box to find out whether boxes can be made, and removes those that were left over."""

import time
import uuid
from contextlib import suppress
from dataclasses import replace

from app.runtime.attachments import WorkerAttachment
from app.runtime.channel import Patience, attach
from app.runtime.docker.boxes import MAKE_IMAGE, DockerBox, Fleet, no_image, remove_container
from app.runtime.docker.engine import Engine, EngineRefused
from app.runtime.docker.hardening import Recipe
from app.runtime.runtime import Diagnosis, Most
from app.runtime.workspace import RuntimeProblem
from app.runtime.worlds import BoxId

BEGAN = "boardroom.trial"
"""A label with the second (Unix time) in which the trial began."""
TRIAL_S = 600
"""Seconds after which a trial is left over. Far longer than a trial lasts, so that clocks of two machines may
differ."""
LOOK = (
    "python3 --version && git --version && "
    "{ grep -qs '^[0-9]' /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max || "
    "echo 'no limit of memory and processes to be seen inside'; }"
)
"""What is run in the box. The last part is for an engine without cgroups, which ignores such limits
silently."""
NOT_WELL = "Look at the engine (docker info), its log, and WORKSPACE_IMAGE; or set WORKSPACE_RUNTIME=local."


async def examine(engine: Engine, recipe: Recipe, patience: Patience) -> Diagnosis:
    """Make a box, run a command in it and remove it. The box belongs to an instance of its own, because this
    may be called before there is a database, which holds the instance's name."""
    try:
        version = await engine.version()
        if not await engine.has_image(recipe.image):
            return Diagnosis("docker", False, no_image(recipe), MAKE_IMAGE)
        began = time.monotonic()
        mark = uuid.uuid4()
        fleet = Fleet(
            engine, f"trial-{mark.hex[:12]}", replace(recipe, network="none"), {BEGAN: str(int(time.time()))}
        )
        box = DockerBox(fleet, BoxId(mark))
        try:
            await box.create()
            await box.awake(None)
            reader, writer = await box.open()
            channel = await attach(reader, writer, fence=0, patience=patience)
            workspace = WorkerAttachment(channel, recipe.image, lambda _: None)
            took = round((time.monotonic() - began) * 1000)
            said = await workspace.run(LOOK, timeout_s=20)
            await workspace.close()
        finally:
            await box.remove()
    except RuntimeProblem as problem:
        return Diagnosis("docker", False, f"{problem}", NOT_WELL)
    if said.exit_code != 0:
        return Diagnosis("docker", False, said.output, "The image of WORKSPACE_IMAGE has to hold git.")
    inside = ", ".join(said.output.split("\n")).strip(", ")
    limits = recipe.limits
    most = Most(limits.memory_bytes, limits.processes, limits.disk_bytes)
    return Diagnosis("docker", True, f"Docker {version} made a box in {took} ms ({inside})", most=most)


async def remove_old_trials(engine: Engine) -> None:
    """Remove trial boxes that were not removed because their process was killed, of any instance."""
    limit = time.time() - TRIAL_S
    for name, container in (await engine.containers({BEGAN: ""})).items():
        if float(container.labels[BEGAN]) < limit:
            await remove_container(engine, name)
    for name, labels in (await engine.volumes({BEGAN: ""})).items():
        if float(labels[BEGAN]) < limit:
            with suppress(EngineRefused):  # its container is just being removed
                await engine.remove_volume(name)

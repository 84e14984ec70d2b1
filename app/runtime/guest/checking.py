"""Runs checks on a commit: each in a clean checkout with its own port and home, which is removed
afterwards."""

import json
import os
from binascii import a2b_base64
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from . import caches, hiding
from .box import Box
from .files import read_file
from .frames import Json
from .going_live import tracked
from .installing import Gate, gate_of
from .link import Stream
from .output import Output, pass_on
from .paths import Refused
from .process import ending
from .walk import remove
from .web import answers, free_port

START_S = 20.0
LOG_BYTES = 8192
REMOVE_S = 60.0
MOST_HIDING = 20
"""The most files that are named to the host."""


@dataclass(frozen=True)
class Checkout:
    """`folder` has the files of the commit, `env` is for commands in it. `problem` is the output of an
    install step that failed, otherwise None."""

    folder: str
    env: Mapping[str, str]
    port: int
    problem: bytes | None


@asynccontextmanager
async def clean_checkout(box: Box, commit: str, install: str, gate: Gate) -> AsyncIterator[Checkout]:
    """A checkout of `commit` in which `install` has run. Checks that run one after the other get the same
    path, because installed programs contain the path at which they were installed. What the job's code left
    outside of /app is removed first, unless another check is running."""
    if not box.checking:
        await box.forget()
    number = next(number for number in count(1) if number not in box.checking)
    box.checking.add(number)
    place = f"{box.config.scratch}/check-{number}"
    folder, home = f"{place}/app", f"{place}/home"
    try:
        os.makedirs(place)
        port = free_port()
        env = {"HOME": home, "TMPDIR": home, "PORT": str(port)}
        problem = await _fill(box, place, env, commit, install, gate)
        await gate.leave()
        yield Checkout(folder, env, port, problem)
    finally:
        await _remove(box, place)
        box.checking.discard(number)


async def _remove(box: Box, place: str) -> None:
    """Without a command, which would cost more than it does. Another check may be in the way."""
    try:
        await remove(place)
    except OSError:
        await box.run(["rm", "-rf", place], {}, "/", REMOVE_S, ours=True)


async def _fill(
    box: Box, place: str, env: Mapping[str, str], commit: str, install: str, gate: Gate
) -> bytes | None:
    """Fill the checkout. Returns the output of the install step if that failed, otherwise None."""
    made = box.installations
    if install and await made.lay_out(place, commit, install):
        return None
    folder = f"{place}/app"
    os.mkdir(folder)
    os.mkdir(env["HOME"])
    await box.repository.check_out(commit, folder)
    await caches.drop(folder)
    if not install:
        return None
    code, output = await made.install(install, env, folder, gate)
    if code != 0:
        return output
    box.looked[commit, install] = await hiding.look(folder, env["HOME"])
    await made.keep(place, commit, install)
    return None


async def check_command(box: Box, stream: Stream, args: Json) -> Json:
    async with clean_checkout(box, args["commit"], args["install"], gate_of(stream, args)) as checkout:
        if checkout.problem is not None:
            await stream.send(checkout.problem)
            return {"exit": None, "installed": False}
        output = Output(args["output_limit"])
        command = box.start(
            ["/bin/sh", "-c", args["run"]],
            output.add,
            cwd=checkout.folder,
            env=checkout.env,
            deadline_s=args["timeout_s"],
            archive=a2b_base64(args["archive"]),
        )
        try:
            ended = await pass_on(command, output, stream)
        finally:
            await ending(command)
        return {
            "exit": ended.exit_code,
            "installed": True,
            "timed_out": ended.timed_out,
            "limit": ended.limit,
        }


async def check_http(box: Box, stream: Stream, args: Json) -> Json:
    """Send the bodies of the answers, then what else is known of them as JSON (headers as lines, the
    values that were taken, and whether the body was cut), then the app's log. The answer has their sizes."""
    from . import steps  # noqa: PLC0415 - see `file_calls.zip_all`

    async with clean_checkout(box, args["commit"], args["install"], gate_of(stream, args)) as checkout:
        if checkout.problem is not None:
            await stream.send(checkout.problem)
            return {"stage": "install"}
        log = Output(LOG_BYTES)
        command = box.start(["/bin/sh", "-c", args["start"]], log.add, cwd=checkout.folder, env=checkout.env)
        visit = steps.Visit()

        def run(argv: list[str], deadline_s: float) -> Awaitable[tuple[int | None, bytes]]:
            return box.run(argv, {}, "/", deadline_s)

        try:
            up = await answers(command, checkout.port, args["health"], START_S)
            if up:
                visit = await steps.play(checkout.port, args["requests"], run)
            exit_code = command.over.result().exit_code if command.over.done() else None
        finally:
            await ending(command)
        more = [
            {"headers": answer.head, "taken": taken, "cut": answer.cut}
            for answer, taken in zip(visit.answers, visit.taken, strict=True)
        ]
        about = json.dumps(more).encode()
        for piece in (*(answer.body for answer in visit.answers), about, log.text):
            await stream.send(piece)
        return {
            "stage": "answer" if up else "start",
            "exit": exit_code,
            "statuses": [answer.status for answer in visit.answers],
            "sizes": [len(answer.body) for answer in visit.answers],
            "about": len(about),
            "problem": visit.problem[:1000],
        }


async def check_file(box: Box, stream: Stream, args: Json) -> Json:
    async with clean_checkout(box, args["commit"], "", Gate(None)) as checkout:
        try:
            content, _ = read_file(checkout.folder, args["path"], args["limit"])
        except Refused as refused:
            return {"found": False, "reason": refused.code}
        await stream.send(content)
        return {"found": True}


async def find_hiding(box: Box, stream: Stream, args: Json) -> Json:
    """Send what `commit` has and `base` had not that would be imported instead of a module of others, as
    JSON: [path, module, kind]. With `install` what that step makes of the commit is looked at; without, the
    commit alone. The kinds: `own` for Python's modules, `installed`, and `environment` for a committed
    folder of packages."""
    before, after = [await tracked(box, args[name]) for name in ("base", "commit")]
    changed = [path for path, entry in after.items() if before.get(path) != entry]
    files = frozenset(after)
    found = list[tuple[str, str, str]]()
    if args["install"]:
        made = await _made_by_install(box, stream, args)
        files = made.files
        found += [(path, name, "installed") for path, name in made.clashes.items() if path not in before]
        for path in changed:
            if path.rpartition("/")[2] == "package.json":
                content = await box.repository.show(args["commit"], path)
                if (name := hiding.package_named(content or b"")) in made.packages:
                    found.append((path, name, "installed"))
    else:
        found += [(path, "", "environment") for path in hiding.in_environments(changed)]
    found += [(path, name, "own") for path, name in hiding.hiding_own(before, files).items()]
    await stream.send(json.dumps(sorted(found)[:MOST_HIDING]).encode())
    return {}


async def _made_by_install(box: Box, stream: Stream, args: Json) -> "hiding.Installed":
    """What the install step makes of a commit; nothing if it fails, which the checks show."""
    key = args["commit"], args["install"]
    gate = gate_of(stream, args)
    if key not in box.looked:
        async with clean_checkout(box, *key, gate):
            pass
    else:
        await gate.leave()
    return box.looked.get(key) or hiding.Installed(frozenset(), {}, frozenset())

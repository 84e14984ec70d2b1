"""One check on one commit: in a clean checkout, with a port and a home of its own, leaving nothing."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from .box import Box
from .files import read_file
from .link import Json, Stream
from .output import Output, pass_on
from .paths import Refused
from .process import ending
from .web import answers, free_port, request

INSTALL_S = 300.0
START_S = 20.0
ANSWER_S = 20.0
LOG_BYTES = 8192
REMOVE_S = 60.0


@dataclass(frozen=True)
class Checkout:
    folder: str
    env: Mapping[str, str]
    port: int


@asynccontextmanager
async def clean_checkout(box: Box, commit: str) -> AsyncIterator[Checkout]:
    box.checks += 1
    place = f"{box.config.scratch}/check-{box.checks}"
    folder, home = f"{place}/app", f"{place}/home"
    os.makedirs(folder)
    os.makedirs(home)
    try:
        await box.repository.check_out(commit, folder)
        port = free_port()
        yield Checkout(folder, {"HOME": home, "TMPDIR": home, "PORT": str(port)}, port)
    finally:
        await box.run(["rm", "-rf", place], {}, "/", REMOVE_S)


async def check_command(box: Box, stream: Stream, args: Json) -> Json:
    async with clean_checkout(box, args["commit"]) as checkout:
        failed = await _install(box, checkout, args["install"])
        if failed is not None:
            await stream.send(failed)
            return {"exit": None, "installed": False}
        output = Output(args["output_limit"])
        command = box.start(
            ["/bin/sh", "-c", args["run"]],
            output.add,
            cwd=checkout.folder,
            env=checkout.env,
            deadline_s=args["timeout_s"],
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
    async with clean_checkout(box, args["commit"]) as checkout:
        failed = await _install(box, checkout, args["install"])
        if failed is not None:
            await stream.send(failed)
            return {"stage": "install", "status": 0, "body": 0}
        log = Output(LOG_BYTES)
        command = box.start(["/bin/sh", "-c", args["start"]], log.add, cwd=checkout.folder, env=checkout.env)
        status, body = 0, b""
        try:
            up = await answers(command, checkout.port, args["health"], START_S)
            if up:
                sent = None if args["text"] is None else args["text"].encode()
                status, body = await request(checkout.port, args["method"], args["path"], sent, ANSWER_S)
            exit_code = command.over.result().exit_code if command.over.done() else None
        finally:
            await ending(command)
        await stream.send(body)
        await stream.send(log.text)
        return {"stage": "answer" if up else "start", "status": status, "body": len(body), "exit": exit_code}


async def check_file(box: Box, stream: Stream, args: Json) -> Json:
    async with clean_checkout(box, args["commit"]) as checkout:
        try:
            content, _ = read_file(checkout.folder, args["path"], args["limit"])
        except Refused as refused:
            return {"found": False, "reason": refused.code}
        await stream.send(content)
        return {"found": True}


async def _install(box: Box, checkout: Checkout, line: str) -> bytes | None:
    """None when it went well or there is nothing to install, else what it said."""
    if not line:
        return None
    code, output = await box.run(["/bin/sh", "-c", line], checkout.env, checkout.folder, INSTALL_S, LOG_BYTES)
    return None if code == 0 else output

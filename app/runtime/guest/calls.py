"""The calls that a process of the service can make to the guest, one function for each; `CALLS` has their
names."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

from . import application, checking, data, data_tar, file_calls, going_live, installing, web
from . import bundle as bundles
from .call import Call
from .frames import Json
from .link import Stream
from .output import Output, pass_on
from .paths import Refused
from .process import ending

APP_ANSWER_S = 30.0


async def run(call: Call) -> Json:
    args = call.args
    output = Output(args["output_limit"])
    command = call.box.start(
        ["/bin/sh", "-c", args["command"]], output.add, env=args["env"], deadline_s=args["timeout_s"]
    )
    try:
        ended = await pass_on(command, output, call.stream)
    finally:
        await ending(command)
    return {
        "exit": ended.exit_code,
        "timed_out": ended.timed_out,
        "limit": ended.limit,
        "total": output.total,
        "head": len(output.head),
    }


async def checkpoint(call: Call) -> Json:
    return {"tree": await call.box.repository.checkpoint(call.args["run"], call.args["step"])}


async def restore(call: Call) -> Json:
    await call.box.restore(call.args["tree"])
    return {}


async def commit(call: Call) -> Json:
    sha, tree = await call.box.repository.commit(call.args["message"], call.args["author"])
    return {"sha": sha, "tree": tree}


async def head(call: Call) -> Json:
    found = await call.box.repository.head()
    return {"sha": found[0], "tree": found[1]} if found else {}


async def bundle(call: Call) -> Json:
    await call.stream.send(await bundles.pack(call.box.repository, call.args["limit"]))
    return {}


async def unbundle(call: Call) -> Json:
    content = await call.stream.read_all(call.args["size"])
    await bundles.unpack(call.box.repository, call.box.config.scratch, content)
    return {}


async def pack(call: Call) -> Json:
    async for piece in bundles.pack_of(call.box.repository, call.args["want"], call.args["have"]):
        await call.stream.send(piece)
    return {}


async def learn(call: Call) -> Json:
    _only_for_workers(call)
    await bundles.learn(call.box.repository, call.box.config.scratch, call.stream)
    return {}


async def show(call: Call) -> Json:
    content = await call.box.repository.show(call.args["commit"], call.args["path"])
    await call.stream.send((content or b"")[: call.args["limit"]])
    return {"found": content is not None}


async def with_tests(call: Call) -> Json:
    args = call.args
    made = await call.box.repository.with_tests(args["commit"], args["kept"], args["tests"], args["steering"])
    return {"sha": made[0], "tree": made[1]} if made else {}


async def diff(call: Call) -> Json:
    found = await call.box.repository.diff(call.args["old"], call.args["new"])
    await call.stream.send(found[: call.args["limit"]])
    return {}


async def check_command(call: Call) -> Json:
    return await checking.check_command(call.box, call.stream, call.args)


async def check_http(call: Call) -> Json:
    return await checking.check_http(call.box, call.stream, call.args)


async def check_file(call: Call) -> Json:
    return await checking.check_file(call.box, call.stream, call.args)


async def find_hiding(call: Call) -> Json:
    return await checking.find_hiding(call.box, call.stream, call.args)


async def start_app(call: Call) -> Json:
    if call.save_as:
        call.box.hold.refuse()
    args = call.args
    gate = installing.gate_of(call.stream, args)
    recipe = application.Recipe(args["install"], args["start"], args["port"], args["health"])
    try:
        await call.box.app.start(recipe, gate)
        await gate.leave()
    finally:
        if gate.within:
            await call.box.app.stop()
    return _app(call)


async def stop_app(call: Call) -> Json:
    if call.save_as:
        call.box.hold.refuse()
    await call.box.app.stop()
    return {}


async def app_status(call: Call) -> Json:
    return _app(call)


def _app(call: Call) -> Json:
    return {**call.box.app.status(), "held": call.box.hold.on}


async def request(call: Call) -> Json:
    port = call.box.app.port
    if port is None:
        return {"status": 0}
    args = call.args
    body = None if args["text"] is None else args["text"].encode()
    status, answer = await web.request(port, args["method"], args["path"], body, APP_ANSWER_S)
    await call.stream.send(answer)
    return {"status": status}


async def dial(call: Call) -> Json:
    hold = call.box.hold
    hold.refuse()
    connection = await web.connect(call.args["port"])
    if connection is None:
        raise Refused("not_listening")
    # An empty line tells the caller that the connection is established.
    await call.stream.send(b"\n")
    await hold.passing(_pass(call.stream, connection), call.args["lasting"])
    return {}


async def _pass(stream: Stream, connection: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=connection)
    up = asyncio.create_task(_upward(stream, writer))
    try:
        while piece := await reader.read(65_536):
            await stream.send(piece)
        stream.send_eof()
        await up
    except ConnectionError:
        pass
    finally:
        up.cancel()
        writer.close()


async def _upward(stream: Stream, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await stream.read():
            writer.write(piece)
            await writer.drain()
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)


async def hold(call: Call) -> Json:
    _only_for_workers(call)
    await going_live.hold(call.box)
    return {}


async def release(call: Call) -> Json:
    _only_for_workers(call)
    going_live.release(call.box)
    return {}


async def switch(call: Call) -> Json:
    _only_for_workers(call)
    return await going_live.switch(call.box, call.args["old"], call.args["new"])


async def set_aside(call: Call) -> Json:
    return await going_live.set_aside(call.box, call.args["commit"])


async def put_back(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    return await going_live.put_back(call.box, call.args["commit"])


async def aside(call: Call) -> Json:
    async for piece in data_tar.pieces(call.box.config.root):
        await call.stream.send(piece)
    return {}


async def take_in(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    return await data_tar.take_in(call.box.config.root, call.stream)


async def drop_aside(call: Call) -> Json:
    await data.drop_aside(call.box.config.root)
    return {}


def _only_for_workers(call: Call) -> None:
    if call.save_as:
        raise Refused("failed", "only a worker may do this")


async def status(call: Call) -> Json:
    """`busy` says that a worker is attached, so that clients may only read."""
    return {**call.box.status(), "busy": not call.may_change()}


CALLS: dict[str, Callable[[Call], Awaitable[Json]]] = {
    "ignored": file_calls.ignored,
    "list": file_calls.list_folder,
    "read": file_calls.read,
    "download": file_calls.download,
    "archive": file_calls.zip_all,
    "save": file_calls.save,
    "delete": file_calls.delete,
    "run": run,
    "checkpoint": checkpoint,
    "restore": restore,
    "commit": commit,
    "head": head,
    "bundle": bundle,
    "unbundle": unbundle,
    "pack": pack,
    "learn": learn,
    "show": show,
    "with_tests": with_tests,
    "diff": diff,
    "check_command": check_command,
    "check_http": check_http,
    "check_file": check_file,
    "find_hiding": find_hiding,
    "start_app": start_app,
    "stop_app": stop_app,
    "app_status": app_status,
    "request": request,
    "dial": dial,
    "hold": hold,
    "release": release,
    "switch": switch,
    "set_aside": set_aside,
    "put_back": put_back,
    "aside": aside,
    "take_in": take_in,
    "drop_aside": drop_aside,
    "status": status,
}

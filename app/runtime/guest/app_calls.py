"""The calls that are about the app: start it, talk to it, bring it to another commit, copy its data."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

from . import application, data, going_live, installing, web
from .call import Call
from .frames import Json
from .link import Stream
from .paths import Refused

APP_ANSWER_S = 30.0


async def start_app(call: Call) -> Json:
    if call.save_as:
        call.box.hold.refuse()
    args = call.args
    call.box.app_ran = True
    call.box.cookies = web.Jar()
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


async def left_out(call: Call) -> Json:
    if call.args["look"]:
        with contextlib.suppress(Refused):  # a repository that fails is the next commit's to tell
            await call.disown()
    paths = call.box.repository.news_of_app()
    shown = [os.fsencode(path).decode(errors="replace") for path in paths[: call.args["most"]]]
    return {"paths": shown, "more": len(paths) - len(shown)}


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
    headers = args["headers"]
    if cookies := call.box.cookies.header:
        headers = {"Cookie": cookies, **headers}
    answer = await web.request(port, args["method"], args["path"], body, APP_ANSWER_S, headers)
    call.box.cookies.take(answer)
    await call.stream.send(answer.body)
    return {"status": answer.status, "headers": answer.head}


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
    call.only_for_workers()
    await going_live.hold(call.box)
    return {}


async def release(call: Call) -> Json:
    call.only_for_workers()
    going_live.release(call.box)
    return {}


async def switch(call: Call) -> Json:
    call.only_for_workers()
    return await going_live.switch(call.box, call.args["old"], call.args["new"])


async def set_aside(call: Call) -> Json:
    return await going_live.set_aside(call.box, call.args["commit"])


async def read_unused(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    return await going_live.read_unused(call.box, call.args["commit"], call.args["most"], call.stream.send)


async def put_back(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    done = await going_live.put_back(call.box, call.args["commit"])
    await call.box.repository.disown()
    call.box.repository.news_of_app()  # the app has not written these here
    return done


async def aside(call: Call) -> Json:
    from . import data_tar  # noqa: PLC0415 - see `file_calls.zip_all`

    async for piece in data_tar.pieces(call.box.config.root):
        await call.stream.send(piece)
    return {}


async def take_in(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    from . import data_tar  # noqa: PLC0415

    return await data_tar.take_in(call.box.config.root, call.stream)


async def drop_aside(call: Call) -> Json:
    await data.drop_aside(call.box.config.root)
    return {}


APP_CALLS: dict[str, Callable[[Call], Awaitable[Json]]] = {
    "start_app": start_app,
    "stop_app": stop_app,
    "left_out": left_out,
    "app_status": app_status,
    "request": request,
    "dial": dial,
    "hold": hold,
    "release": release,
    "switch": switch,
    "set_aside": set_aside,
    "read_unused": read_unused,
    "put_back": put_back,
    "aside": aside,
    "take_in": take_in,
    "drop_aside": drop_aside,
}

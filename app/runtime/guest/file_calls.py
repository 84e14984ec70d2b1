"""The calls that are about files; see `calls`."""

import json
from functools import partial

from . import files, ignoring
from .call import Call
from .frames import Json
from .paths import Refused


async def list_folder(call: Call) -> Json:
    args = call.args
    found = await ignoring.list_folder(call.box, args["path"], args["limit"], args["closed"])
    # Sent as data, because a thousand long names do not fit into the one frame of a result.
    await call.stream.send(json.dumps(found["entries"]).encode())
    return {"truncated": found["truncated"]}


async def read(call: Call) -> Json:
    content, about = files.read_file(call.box.config.root, call.args["path"], call.args["limit"])
    await call.stream.send(content)
    return about


async def download(call: Call) -> Json:
    async for piece in files.read_pieces(call.box.config.root, call.args["path"]):
        await call.stream.send(piece)
    return {}


async def zip_all(call: Call) -> Json:
    ignored = partial(ignoring.ignored_folders, call.box)
    from . import archive  # noqa: PLC0415 - `zipfile` is late: it is most of what else a new box would load (docs/decisions/0021)

    async for piece in archive.zip_pieces(call.box.config.root, call.args["closed"], ignored):
        await call.stream.send(piece)
    return {}


async def ignored(call: Call) -> Json:
    return {"rule": await ignoring.ignored_by(call.box, call.args["path"])}


async def save(call: Call) -> Json:
    content = await call.stream.read_all(call.args["size"])
    if len(content) != call.args["size"]:
        raise Refused("failed", "the content was cut short")
    if not call.may_change():
        raise Refused("busy")
    await call.disown()
    call.box.repository.own(call.args["path"])
    async with call.box.still:
        saved = files.save_file(call.box.config.root, call.args["path"], content, call.args["etag"])
    if call.save_as:
        call.record(f"Save {call.args['path']}", call.save_as)
    return saved


async def delete(call: Call) -> Json:
    if not call.may_change():
        raise Refused("busy")
    await call.disown()
    async with call.box.still:
        files.delete_file(call.box.config.root, call.args["path"])
    if call.save_as:
        call.record(f"Delete {call.args['path']}", call.save_as)
    return {}

"""The calls that a process of the service can make to the guest, one function for each; `CALLS` has their
names."""

from collections.abc import Awaitable, Callable

from . import bundle as bundles
from . import checking, file_calls, web
from .app_calls import APP_CALLS
from .call import Call
from .frames import Json
from .output import Output, pass_on
from .process import ending


async def run(call: Call) -> Json:
    args = call.args
    output = Output(args["output_limit"])
    await call.disown()
    env = {"PORT": str(web.free_port()), **args["env"]}
    command = call.box.start(
        ["/bin/sh", "-c", args["command"]], output.add, env=env, deadline_s=args["timeout_s"]
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
    await call.disown()
    sha, tree = await call.box.repository.commit(call.args["message"], call.args["author"])
    return {"sha": sha, "tree": tree}


async def propose(call: Call) -> Json:
    call.only_for_workers()
    await call.disown()
    sha, tree = await call.box.repository.propose()
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
    call.only_for_workers()
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
    "propose": propose,
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
    "status": status,
    **APP_CALLS,
}

"""Carries out the Builder's tool calls in the box. A refused call is answered with `error:` and a
sentence."""

import shlex
from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any, cast
from urllib.parse import urlencode

from pydantic import ValidationError

from app.domain.errors import NotFound, Refusal
from app.domain.values import clip
from app.domain.workspace import (
    LIST_LIMIT,
    MANIFEST,
    MANIFEST_NAME,
    ROOT,
    Manifest,
    resolve_path,
)
from app.runtime.checker import page_line, split_picture
from app.runtime.guest.hiding import hiding_own
from app.runtime.guest.page import NO_BROWSER
from app.runtime.workspace import AppStatus, CheckResult, Node, Workspace
from workers.agents.reading import read_arguments
from workers.agents.tools import (
    TOOLS,
    DeleteFile,
    EditFile,
    ListFiles,
    Look,
    ReadFile,
    Request,
    RunCommand,
    Search,
    StartApp,
    StopApp,
    Tool,
    WriteFile,
)
from workers.agents.tools import AppStatus as AppStatusTool
from workers.llm.model import ToolCall
from workers.pipeline.ticket import output
from workers.pipeline.ticket.overview import GREP

ENDLESS = "ended by its time limit"
"""The beginning of the result of a command that was ended by its time limit."""

OUTPUT_CHARS = 16_000
"""The most characters that a tool may return to the model."""

_DULL = {"date", "server", "connection", "content-length", "transfer-encoding", "keep-alive"}
"""Headers of answers that the model is not shown."""

LOOK_S, LOOK_BYTES = 60, 1024 * 1024

HEARD_BYTES = 128 * 1024
"""How much of a command's output is read, of which the model is shown a part. The first half is also sent
live."""


def parse(call: ToolCall) -> Tool | str:
    """The validated call, or the refusal as text."""
    tool = TOOLS.get(call.name)
    if tool is None:
        return f"error: there is no tool {call.name[:60]!r}; there are {', '.join(TOOLS)}"
    try:
        return read_arguments(tool, call.arguments).value
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"error: {'.'.join(map(str, first['loc'])) or 'arguments'}: {first['msg']}"


def remark(call: ToolCall) -> str:
    """A line for the model on arguments of a valid call that were ignored; empty if none were."""
    ignored = read_arguments(TOOLS[call.name], call.arguments).ignored
    names = ", ".join(f"`{clip(name, 60)}`" for name in ignored)
    return f"\n({names}: no argument of {call.name}, or null; ignored)" if names else ""


async def use(workspace: Workspace, tool: Tool, hear: Callable[[str], None] | None = None) -> str:
    """Carry out the call; returns the result for the model. `hear` gets the output of a command while it
    runs. Raises only BoxDied and FenceLost."""
    try:
        if isinstance(tool, RunCommand):
            said = clip(await _run(workspace, tool, hear), OUTPUT_CHARS)
        else:
            said = clip(await _HANDS[type(tool)](workspace, tool), OUTPUT_CHARS)
        return said + await _left_out(workspace, tool)
    except Refusal as refusal:
        return f"error: {refusal.detail}"


def _files(nodes: list[Node]) -> list[str]:
    found = []
    for node in nodes:
        found += [node.path.removeprefix("/app/")] if node.type == "file" else _files(node.children)
    return found


async def _list(workspace: Workspace, tool: ListFiles) -> str:
    listing = await workspace.list(resolve_path(tool.path), LIST_LIMIT[1])
    lines = sorted(_files(listing.structure))
    return "\n".join([*lines, "(cut)"] if listing.truncated else lines) or "(empty)"


async def _read(workspace: Workspace, tool: ReadFile) -> str:
    text = (await workspace.read(resolve_path(tool.path))).content.decode("utf-8", "replace")
    lines = text.splitlines(keepends=True)
    wanted = lines[tool.first - 1 : tool.last]
    if not wanted and lines:
        return f"error: the file ends with line {len(lines)}"
    fits = sum(end <= OUTPUT_CHARS - 100 for end in accumulate(map(len, wanted)))
    if 0 < fits < len(wanted):
        following = tool.first + fits
        return "".join(
            [*wanted[:fits], f"(cut here; the file has {len(lines)} lines: read on from {following})"]
        )
    return "".join(wanted)


async def _write(workspace: Workspace, tool: WriteFile) -> str:
    path = resolve_path(tool.path)
    if (module := _hides(path)) and not await _exists(workspace, path):
        return f"error: {path} would be imported instead of Python's own module {module}: choose another name"
    saved = await workspace.save(path, tool.content.encode())
    return f"wrote {saved.path} ({saved.size} bytes){await _unless_kept(workspace, saved.path)}"


async def _unless_kept(workspace: Workspace, path: str) -> str:
    """What to say of a file that git ignores."""
    if not (rule := await workspace.ignored_by(path)):
        return ""
    return (
        f"\nnote: git ignores this file ({rule}). It is in no commit, so neither the checks nor the "
        "delivered app have it. If they need it, change that rule or write it elsewhere."
    )


async def _left_out(workspace: Workspace, tool: Tool) -> str:
    """What to say, once, of files that no commit holds because the app has written them."""
    asked = isinstance(tool, Request)
    if not (asked or tool.changes or isinstance(tool, StartApp)):
        return ""
    found = await workspace.left_out(look=asked)
    if not found.paths:
        return ""
    names = ", ".join(f"`{path}`" for path in found.paths) + (f" and {found.more} more" if found.more else "")
    return (
        f"\nnote: the app or its install step has written {names}. That is data of the app, no part of the "
        "work, and in no commit. What belongs to the work, write yourself with `write_file`."
    )


def _hides(path: str) -> str:
    """The module of Python's that a new file at the top would hide; "" if none. The commit is judged by
    `Workspace.hidden`: this only spares an attempt."""
    name = path.removeprefix(f"{ROOT}/")
    return "" if "/" in name else hiding_own((), [name]).get(name, "")


async def _exists(workspace: Workspace, path: str) -> bool:
    try:
        await workspace.read(path)
    except NotFound:
        return False
    return True


async def _edit(workspace: Workspace, tool: EditFile) -> str:
    path = resolve_path(tool.path)
    try:
        text = (await workspace.read(path)).content.decode()
    except UnicodeDecodeError:
        return f"error: {path} is not UTF-8 text"
    for place, edit in enumerate(tool.all, start=1):
        if (found := text.count(edit.old)) != 1:
            which = f" of edit {place} of {len(tool.all)}" if len(tool.all) > 1 else ""
            return (
                f"error: `old`{which} stands {found} times in {path}; it must stand exactly once. "
                "Nothing was changed."
            )
        text = text.replace(edit.old, edit.new)
    saved = await workspace.save(path, text.encode())
    return f"edited {saved.path} ({saved.size} bytes){await _unless_kept(workspace, saved.path)}"


async def _delete(workspace: Workspace, tool: DeleteFile) -> str:
    path = resolve_path(tool.path)
    await workspace.delete(path)
    return f"deleted {path}"


async def _search(workspace: Workspace, tool: Search) -> str:
    folder = shlex.quote(resolve_path(tool.path))
    await workspace.head()
    line = f"{GREP} -F -m 20 -e {shlex.quote(tool.text)} -- {folder} | cut -c1-300 | head -n 100"
    result = await workspace.run(line, timeout_s=20, output_limit=OUTPUT_CHARS // 2)
    return result.output or "(nothing found)"


async def _start_app(workspace: Workspace, _: StartApp) -> str:
    try:
        manifest = Manifest.model_validate_json((await workspace.read(MANIFEST)).content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"error: {MANIFEST_NAME}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    await workspace.stop_app()  # it may still run older code
    return _told(await workspace.start_app(manifest))


async def _stop_app(workspace: Workspace, _: StopApp) -> str:
    await workspace.stop_app()
    return "stopped"


async def _app_status(workspace: Workspace, _: AppStatusTool) -> str:
    return _told(await workspace.app_status())


def _told(app: AppStatus) -> str:
    return f"{app.state}\n{app.log_tail}".strip()


async def _request(workspace: Workspace, tool: Request) -> str:
    pairs = (line.partition(":") for line in tool.headers)
    body, headers = tool.body, {name: value.strip() for name, _, value in pairs}
    if tool.form is not None:
        if body is not None:
            return "error: a request has a `form` or a `body`, not both"
        body = urlencode(tool.form)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    answer = await workspace.request(tool.method, tool.path, body, headers)
    if not answer.status:
        return "error: nothing answered; is the app started?"
    said = [line for line in answer.headers if line.partition(":")[0] not in _DULL]
    return "\n".join([str(answer.status), *said, "", answer.body])


async def _look(workspace: Workspace, tool: Look) -> str:
    app = await workspace.app_status()
    if app.state != "answering":
        return "error: nothing to look at; is the app started?"
    told = {"start": "", "path": tool.path, "viewport": {"width": tool.width, "height": 800}}
    line = f'd=$(mktemp -d)\nPORT={app.port} HOME=$d {page_line(told)}\nc=$?\nrm -rf "$d"\nexit $c'
    result = await workspace.run(line, timeout_s=LOOK_S, output_limit=LOOK_BYTES)
    if result.exit_code == NO_BROWSER:
        return "error: there is no browser in this box"
    return split_picture(result.output)[0] or "error: the browser did not answer in time"


async def _run(workspace: Workspace, tool: RunCommand, hear: Callable[[str], None] | None) -> str:
    result = await workspace.run(
        tool.command, timeout_s=tool.timeout_s, output_limit=HEARD_BYTES, on_output=hear
    )
    end = ENDLESS if result.timed_out else f"exit code {result.exit_code}"
    failed = result.exit_code != 0
    return f"{end}\n{output.shown(result.output, OUTPUT_CHARS // 2, failed=failed)}"


def told_check(result: CheckResult) -> str:
    """A check's result for the model."""
    if not result.checked:
        return f"It could not be run here.\n{result.output_tail}"
    exit_code = "" if result.exit_code is None else f", exit code {result.exit_code}"
    end = "passed" if result.passed else f"failed{exit_code}"
    return f"{end}\n{output.shown(result.output_tail, OUTPUT_CHARS // 2, failed=not result.passed)}".strip()


_HANDS = cast(
    dict[type[Tool], Callable[[Workspace, Any], Awaitable[str]]],
    {
        ListFiles: _list,
        ReadFile: _read,
        WriteFile: _write,
        EditFile: _edit,
        DeleteFile: _delete,
        Search: _search,
        StartApp: _start_app,
        StopApp: _stop_app,
        AppStatusTool: _app_status,
        Request: _request,
        Look: _look,
    },
)

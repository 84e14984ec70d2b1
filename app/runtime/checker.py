"""Runs checks: the guest does what a check says in a clean checkout, and this module decides whether it
passed."""

import base64
import json
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.domain.ticket import AnyCheck, CommandCheck, FileCheck, HttpCheck, PageCheck
from app.domain.values import clean
from app.domain.workspace import MANIFEST_NAME, Manifest
from app.runtime import answers, http_answers
from app.runtime.channel import Channel
from app.runtime.check_helper import check_helper
from app.runtime.guest import page
from app.runtime.leave import Leave
from app.runtime.workspace import CheckResult

MAX_MANIFEST_BYTES = 64 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
MAX_FILE_BYTES = 2 * 1024 * 1024
MAX_HTTP_BYTES = 4 * 1024 * 1024
SHOWN_LOG = 1500
"""Characters of the app's log beside its answers."""
TAIL_BYTES = 4096
AROUND_S = 600.0
"""Seconds beyond a check's own time: for the checkout, the install step, its archive, the start of the app
and the clean-up."""
PAGE_S = 180
JPEG = b"\xff\xd8\xff"
_PROGRAM = Path(page.__file__).read_text("utf-8")
_END = "END_OF_PAGE_CHECK"


async def run_check(
    channel: Channel,
    commit: str,
    check: AnyCheck,
    leave: Leave | None,
    on_output: Callable[[str], None] | None,
) -> CheckResult:
    """Run one check on `commit`. `leave` gives the box a network for its install step; `on_output` is called
    with a command's output as it comes. Raises BoxDied, FenceLost, SandboxUnavailable, and RuntimeProblem if
    the commit cannot be checked out."""
    began = time.monotonic()
    checked, picture = True, b""
    if isinstance(check, CommandCheck):
        passed, exit_code, said = await _command(channel, commit, check, leave, on_output)
    elif isinstance(check, HttpCheck):
        passed, exit_code, said = await _http(channel, commit, check, leave)
    elif isinstance(check, PageCheck):
        passed, exit_code, said, picture = await _page(channel, commit, check, leave)
        checked = exit_code != page.NO_BROWSER
    else:
        passed, exit_code, said = await _file(channel, commit, check)
    took = round((time.monotonic() - began) * 1000)
    return CheckResult(passed, exit_code, tail(said), took, checked, picture)


async def _command(
    channel: Channel,
    commit: str,
    check: CommandCheck,
    leave: Leave | None,
    on_output: Callable[[str], None] | None,
) -> tuple[bool, int | None, str]:
    manifest, _ = await manifest_of(channel, commit)
    install = manifest.install if manifest else ""
    ended, output = await _line(channel, commit, check.run, check.timeout_s, install, leave, on_output)
    if not ended.installed:
        return False, None, output
    passed = answers.command_passed(check, ended.exit, output)
    if not passed and ended.exit == check.expect_exit:
        output += f"\nThe output does not hold: {check.expect_output}"
    return passed, ended.exit, output


async def _page(
    channel: Channel, commit: str, check: PageCheck, leave: Leave | None
) -> tuple[bool, int | None, str, bytes]:
    """Run `guest/page.py` as a command in the checkout; it starts the app and a browser in the box. Last a
    picture of the page; empty if there is none."""
    manifest, problem = await manifest_of(channel, commit)
    if manifest is None:
        return False, None, problem, b""
    told = {**check.asked, "start": manifest.start, "health": manifest.health}
    ended, output = await _line(channel, commit, page_line(told), PAGE_S, manifest.install, leave, None)
    text, picture = split_picture(output)
    return ended.exit == 0, ended.exit, text, picture


def page_line(told: Mapping[str, Any]) -> str:
    """The shell line that runs `guest/page.py`, which is told what to do."""
    return f"python3 -I - {shlex.quote(json.dumps(told))} <<'{_END}'\n{_PROGRAM}\n{_END}"


def split_picture(output: str) -> tuple[str, bytes]:
    """The output of `guest/page.py` without the picture, and the picture; empty if there is no valid one."""
    text, mark, line = output.rpartition(f"\n{page.PICTURE}")
    if not mark:
        return output, b""
    try:
        picture = base64.b64decode(line.strip(), validate=True)
    except ValueError:
        picture = b""
    fits = picture.startswith(JPEG) and len(picture) <= page.MAX_PICTURE
    return text, picture if fits else b""


async def _line(
    channel: Channel,
    commit: str,
    run: str,
    timeout_s: int,
    install: str,
    leave: Leave | None,
    on_output: Callable[[str], None] | None,
) -> tuple[answers.CheckedCommand, str]:
    """Run a shell line in a clean checkout: how it ended, and its output."""
    gate = leave if install else None
    done, data = await channel.ask(
        answers.CheckedCommand,
        "check_command",
        commit=commit,
        run=run,
        timeout_s=timeout_s,
        output_limit=MAX_OUTPUT_BYTES,
        install=install,
        archive=check_helper(),
        first=gate,
        gated=gate is not None,
        bytes_limit=MAX_OUTPUT_BYTES,
        on_data=None if on_output is None else answers.as_text(on_output),
        deadline_s=timeout_s + AROUND_S,
    )
    output = clean(data.decode(errors="replace"))
    if not done.installed:
        output += "\nThe manifest's install step failed."
    if done.timed_out:
        output += f"\nEnded after {timeout_s} s."
    if done.limit:
        output += f"\nEnded: {answers.LIMITS.get(done.limit, done.limit)}."
    return done, output


async def _http(
    channel: Channel, commit: str, check: HttpCheck, leave: Leave | None
) -> tuple[bool, int | None, str]:
    manifest, problem = await manifest_of(channel, commit)
    if manifest is None:
        return False, None, problem
    gate = leave if manifest.install else None
    done, data = await channel.ask(
        answers.CheckedHttp,
        "check_http",
        commit=commit,
        install=manifest.install,
        first=gate,
        gated=gate is not None,
        start=manifest.start,
        health=manifest.health,
        requests=[asked.model_dump(mode="json", exclude={"steps"}) for asked in check.requests],
        bytes_limit=MAX_HTTP_BYTES,
        deadline_s=AROUND_S,
    )
    if done.stage == "install":
        return False, None, f"{clean(data.decode(errors='replace'))}\nThe manifest's install step failed."
    with channel.believing():
        found, log = http_answers.read(done, data)
    if done.stage == "start":
        why = "it was too slow" if done.exit is None else f"it ended with exit code {done.exit}"
        return False, done.exit, f"{log}\nThe app did not answer on {manifest.health}: {why}."
    passed, said = http_answers.judge(check, found, clean(done.problem))
    return passed, None, f"{log[-SHOWN_LOG:]}\n{said}"


async def _file(channel: Channel, commit: str, check: FileCheck) -> tuple[bool, int | None, str]:
    done, data = await channel.ask(
        answers.CheckedFile,
        "check_file",
        commit=commit,
        path=check.path,
        limit=MAX_FILE_BYTES,
        bytes_limit=MAX_FILE_BYTES,
    )
    if not done.found:
        return False, None, f"{check.path}: {done.reason}"
    if check.contains is not None and check.contains not in data.decode(errors="replace"):
        return False, None, f"{check.path} does not hold: {check.contains}"
    return True, None, f"{check.path}: {len(data)} bytes"


async def manifest_of(channel: Channel, commit: str) -> tuple[Manifest | None, str]:
    """The manifest in the commit; None with the reason if there is no valid one."""
    shown, data = await channel.ask(
        answers.Shown,
        "show",
        commit=commit,
        path=MANIFEST_NAME,
        limit=MAX_MANIFEST_BYTES,
        bytes_limit=MAX_MANIFEST_BYTES,
    )
    if not shown.found:
        return None, f"There is no {MANIFEST_NAME} that says how to start the app."
    try:
        return Manifest.model_validate_json(data), ""
    except ValidationError as error:
        problems: list[Any] = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return None, f"{MANIFEST_NAME} is not valid: {'; '.join(problems)}"


def tail(text: str) -> str:
    return text.strip().encode()[-TAIL_BYTES:].decode(errors="ignore")

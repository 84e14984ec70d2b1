"""What `boardroom up` has done by processes of their own, so that it stays small itself:
`python -m app.errands prepare` at the start, `… stop-boxes` at the end."""

import argparse
import asyncio
import http.client
import json
import os
import sys
import time
from dataclasses import astuple
from textwrap import indent

from app.bootstrap import NotConfigured, examine_boxes, open_runtime
from app.embedded.doctor import Finding, describe_building, describe_model
from app.embedded.lifeline import watch_parent
from app.embedded.running import run_until_stopped
from app.embedded.stopping import stops_on_signal
from app.runtime.worlds import AT_ONCE
from app.settings import BadSettings, Settings, load_settings
from app.store.migrate import migrate
from app.store.usable import UnusableDatabase

TICK_S = 0.2
SLOW_S = 20.0
"""Seconds, longer than a start takes. After them the missing parts are named."""
ANSWER_S = 5.0


def prepare(migrated: int) -> None:
    """Read the order of `supervisor.Preparation` from stdin and migrate the database. Then write a byte to
    the descriptor `migrated`, and say what runs here and when all of it works."""
    line = sys.stdin.readline()
    if not line:  # there is no supervisor any more
        return
    order = json.loads(line)
    os.environ.update(order["environment"])
    settings = load_settings()
    run_until_stopped(migrate(settings.database_url))
    os.write(migrated, b"m")
    os.close(migrated)
    findings = [describe_model(settings), *findings_about_boxes(settings)[:1]]
    for line in (f"data: {settings.data_dir.absolute()}", *map(str, findings)):
        _say(indent(line, "  "))
    say_when_ready(order["url"], order["began"])


def say_when_ready(url: str, began: float) -> None:
    """Return when all parts of the service work, which is being started since `began` (of the monotonic
    clock)."""
    told = False
    while (missing := what_is_missing(url)) != "":
        if missing and not told and time.monotonic() - began > SLOW_S:
            told = True
            _say(f"Not ready yet: {missing}")
        time.sleep(TICK_S)
    _say(f"Ready after {time.monotonic() - began:.1f} s.")


def what_is_missing(url: str) -> str | None:
    """The parts that the API at this address reports as not working, with the reason; None if it does not
    answer."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        checks = json.loads(connection.getresponse().read())["checks"]
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return None
    finally:
        connection.close()
    return "; ".join(f"{part}: {check['detail']}" for part, check in checks.items() if not check["ok"])


async def stop_boxes(settings: Settings, leave_containers: bool) -> None:
    runtime = await open_runtime(settings)
    try:
        if not (leave_containers and runtime.shared):
            await runtime.stop_all()
    finally:
        await runtime.close()


def findings_about_boxes(settings: Settings) -> list[Finding]:
    """Whether boxes can be made here; then, where it is known, what a building job may use."""
    diagnosis = run_until_stopped(examine_boxes(settings))
    found = [Finding("boxes", diagnosis.ok, diagnosis.detail, diagnosis.remedy)]
    if diagnosis.most is not None:
        found.append(describe_building(settings, AT_ONCE, *astuple(diagnosis.most)))
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    watch_parent()
    parser = argparse.ArgumentParser(prog="python -m app.errands")
    errand = parser.add_subparsers(required=True, dest="errand")
    errand.add_parser("prepare").add_argument("migrated", type=int)
    errand.add_parser("stop-boxes").add_argument("--leave-containers", action="store_true")
    arguments = parser.parse_args()
    try:
        with stops_on_signal():
            if arguments.errand == "prepare":
                prepare(arguments.migrated)
            else:
                asyncio.run(stop_boxes(load_settings(), arguments.leave_containers))
    except (BadSettings, NotConfigured, UnusableDatabase) as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()

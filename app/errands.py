"""What `boardroom up` has done outside of its supervisor, because it needs what the supervisor does not load.
`python -m app.errands` stops the boxes."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from textwrap import indent

from app.bootstrap import NotConfigured, examine_boxes, open_runtime
from app.embedded.doctor import Finding, describe_building, describe_model
from app.embedded.running import run_until_stopped
from app.runtime.worlds import AT_ONCE
from app.settings import BadSettings, Settings, load_settings
from app.store.migrate import migrate as migrate_database
from app.store.usable import UnusableDatabase


def migrate() -> None:
    """Bring the database of DATABASE_URL up to date. Raises SystemExit, when it has said why it cannot."""
    with _refusals_are_said():
        run_until_stopped(migrate_database(load_settings().database_url))


def describe() -> None:
    """Say where the data are, which model is set, and whether boxes can be made."""
    settings = load_settings()
    findings = [describe_model(settings), *findings_about_boxes(settings)[:1]]
    for line in (f"data: {settings.data_dir.absolute()}", *map(str, findings)):
        sys.stdout.write(indent(line, "  ") + "\n")
    sys.stdout.flush()


def findings_about_boxes(settings: Settings) -> list[Finding]:
    """Whether boxes can be made here; then, where it is known, what a building job may use."""
    diagnosis = run_until_stopped(examine_boxes(settings))
    found = [Finding("boxes", diagnosis.ok, diagnosis.detail, diagnosis.remedy)]
    if diagnosis.most is not None:
        found.append(describe_building(settings, AT_ONCE, *astuple(diagnosis.most)))
    return found


async def stop_boxes(settings: Settings, leave_containers: bool) -> None:
    runtime = await open_runtime(settings)
    try:
        if not (leave_containers and runtime.shared):
            await runtime.stop_all()
    finally:
        await runtime.close()


@contextmanager
def _refusals_are_said() -> Iterator[None]:
    try:
        yield
    except (BadSettings, NotConfigured, UnusableDatabase) as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.errands")
    parser.add_argument("--leave-containers", action="store_true")
    arguments = parser.parse_args()
    with _refusals_are_said():
        asyncio.run(stop_boxes(load_settings(), arguments.leave_containers))


if __name__ == "__main__":
    main()

"""What `boardroom`'s commands do that need more than settings."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import UUID

import typer
from rich.console import Console

from app.actions import accounts
from app.bootstrap import NotConfigured, open_resources, open_runtime
from app.database_url import where
from app.demo.client import Refused
from app.demo.play import play
from app.demo.screen import Screen
from app.demo.service import service
from app.domain.account import PASSWORD_CHARS
from app.domain.errors import Refusal, Unavailable
from app.domain.job import Status
from app.embedded.addresses import addressed, with_addresses
from app.embedded.datadir import DataDir
from app.embedded.doctor import Finding, examine_machine
from app.embedded.running import run_until_stopped
from app.embedded.stopping import stops_on_signal
from app.errands import findings_about_boxes
from app.resources import Resources
from app.runtime.forward import AppOfJob, forwarded
from app.runtime.workspace import RuntimeProblem
from app.settings import Settings, load_settings
from app.store import boxes
from app.store.database import look, open_engine
from app.store.migrate import migrate as migrate_database
from app.store.usable import UnusableDatabase, require_usable

REFUSALS = (NotConfigured, UnusableDatabase, Refused, Refusal, RuntimeProblem)
"""With these a command ends because it cannot be done here; `in_words` says why."""


def in_words(refusal: Exception) -> str:
    if isinstance(refusal, RuntimeProblem):
        return f"The job's box cannot be used: {refusal}."
    return str(refusal)


def demo(idea: str) -> None:
    settings = load_settings()
    console = Console(highlight=False)
    done = False
    with stops_on_signal():
        with service(settings.data_dir, lambda text: console.print(text, style="dim", soft_wrap=True)) as url:
            job = run_until_stopped(play(url, idea, Screen(console)))
        done = job["status"] == Status.BUILD_DONE
        if done:
            console.print(f"See the app: [bold]{_called()} open {job['id']}[/bold]", soft_wrap=True)
    raise typer.Exit(0 if done else 1)


def open_app(job: UUID, port: int) -> None:
    settings = load_settings()
    # Containers are found by a name in the database, so a service is started for the time if none runs.
    with stops_on_signal(), ExitStack() as later:
        if not settings.database_url and run_until_stopped(_are_shared(settings)):
            later.enter_context(service(settings.data_dir))
        run_until_stopped(_open(settings, job, port))


def migrate() -> None:
    asyncio.run(migrate_database(with_addresses(load_settings()).database_url))
    typer.echo("The database is up to date.")


def doctor() -> None:
    settings = load_settings()
    findings = [*examine_machine(settings), *_examine_database(settings), *findings_about_boxes(settings)]
    for finding in findings:
        typer.echo(str(finding))
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def add_user(email: str, name: str) -> None:
    password = _ask_password()
    _with_resources(lambda res: accounts.add_user(res, email=email, password=password, name=name))
    typer.echo(f"Added {email}.")


def change_password(email: str) -> None:
    password = _ask_password()
    _with_resources(lambda res: accounts.change_password(res, email=email, password=password))
    typer.echo(f"Changed the password of {email}.")


async def _open(settings: Settings, job_id: UUID, port: int) -> None:
    settings = addressed(settings)
    runtime = await open_runtime(settings)
    app = AppOfJob(
        runtime,
        job_id,
        partial(is_changing, settings.database_url, job_id),
        lambda: typer.echo("The app is just being changed. Waiting for it …"),
    )
    try:
        await app.wake()
        async with forwarded(app.dial, port) as local:
            typer.echo(f"The app: http://127.0.0.1:{local} (Ctrl-C ends this)")
            await asyncio.Event().wait()
    finally:
        await app.close()
        if not DataDir(settings.data_dir).running():
            await runtime.stop(job_id)
        await runtime.close()


async def is_changing(database_url: str, job_id: UUID) -> bool:
    """Whether the job's app is just being brought to another commit; False if no database can tell."""
    if not database_url:
        return False
    engine = open_engine(database_url)
    try:
        async with look(engine) as session:
            standing = await boxes.standing(session, None, job_id)
    except Unavailable:
        return False
    finally:
        await engine.dispose()
    return standing is not None and standing.changing


async def _are_shared(settings: Settings) -> bool:
    runtime = await open_runtime(settings)
    try:
        return runtime.shared
    finally:
        await runtime.close()


def _examine_database(settings: Settings) -> list[Finding]:
    if not settings.database_url:
        return []
    at = f"the one of DATABASE_URL at {where(settings.database_url)}"
    try:
        asyncio.run(require_usable(settings.database_url))
    except UnusableDatabase as problem:
        return [Finding("PostgreSQL", False, str(problem))]
    return [Finding("PostgreSQL", True, f"{at} answers and can be used")]


def _with_resources(act: Callable[[Resources], Awaitable[object]]) -> None:
    async def run() -> None:
        async with open_resources(with_addresses(load_settings())) as resources:
            await act(resources)

    asyncio.run(run())


def _ask_password() -> str:
    if sys.stdin.isatty():
        with_addresses(load_settings())  # fail before the password is typed
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    least, most = PASSWORD_CHARS
    if not least <= len(password) <= most:
        raise typer.BadParameter(f"a password has {least} to {most} characters", param_hint="password")
    return password


def _called() -> str:
    """How this program was called, to be copied by people."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "boardroom" else f"{Path(sys.executable).name} -m app.cli"

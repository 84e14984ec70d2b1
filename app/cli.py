"""The `boardroom` command. It starts processes by module name and imports neither the API nor the workers."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import astuple
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console

from app.actions import accounts
from app.bootstrap import NotConfigured, examine_boxes, open_resources, open_runtime
from app.database_url import where
from app.demo.client import Refused
from app.demo.play import play
from app.demo.screen import Screen
from app.demo.service import service
from app.domain.account import PASSWORD_CHARS
from app.domain.errors import Refusal, Unavailable
from app.domain.job import Status
from app.embedded.children import KeepsDying
from app.embedded.datadir import DataDir
from app.embedded.doctor import Finding, describe_building, describe_model, examine_machine
from app.embedded.errors import StackProblem
from app.embedded.lifeline import watch_parent
from app.embedded.stopping import run_until_stopped, stops_on_signal
from app.embedded.supervisor import SECRET_FILE, Neighbours, supervise
from app.resources import Resources
from app.runtime.forward import AppOfJob, forwarded
from app.runtime.workspace import RuntimeProblem
from app.runtime.worlds import AT_ONCE
from app.settings import BadSettings, Settings, load_settings
from app.store import boxes
from app.store.database import look, open_engine
from app.store.migrate import migrate as migrate_database
from app.store.usable import UnusableDatabase, require_usable

T = TypeVar("T")

REFUSED = 2
"""The exit code when nothing was started. 1 means that something was started and did not succeed."""

cli = typer.Typer(
    help="A company of AI agents that turns an idea into a built, tested, running app.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
user = typer.Typer(help="Manage users.", no_args_is_help=True)
cli.add_typer(user, name="user")
model = typer.Typer(help="Look at models.", no_args_is_help=True)
cli.add_typer(model, name="model")


@cli.command()
def up() -> None:
    """Run the whole service in the foreground, with its own PostgreSQL and Valkey unless you give others."""
    watch_parent()
    settings = load_settings()

    def describe() -> list[str]:
        findings = [describe_model(settings), _examine_boxes(settings)[0]]
        return [f"data: {settings.data_dir.absolute()}", *(_in_words(finding) for finding in findings)]

    supervise(
        settings,
        Neighbours(
            migrate=lambda url: run_until_stopped(migrate_database(url)),
            describe=describe,
            stop_boxes=lambda: asyncio.run(_stop_boxes(settings)),
            say=typer.echo,
        ),
    )


@cli.command()
def demo(
    idea: Annotated[str, typer.Option(help="What to build.")] = "a reading list for a book club",
) -> None:
    """Play a client whose app is built, and show it live: on the service in DATA_DIR, or on one of its
    own."""
    if not idea.strip():
        raise typer.BadParameter("the idea is empty", param_hint="--idea")
    settings = load_settings()
    console = Console(highlight=False)
    done = False
    with stops_on_signal():
        with service(settings.data_dir, lambda text: console.print(text, style="dim", soft_wrap=True)) as url:
            job = run_until_stopped(play(url, idea, Screen(console)))
        done = job["status"] == Status.BUILD_DONE
        if done:
            console.print(f"See the app: [bold]{_command()} open {job['id']}[/bold]", soft_wrap=True)
    raise typer.Exit(0 if done else 1)


@cli.command("open")
def open_app(
    job: Annotated[UUID, typer.Argument(help="The job's id.")],
    port: Annotated[int, typer.Option(help="The local port; 0 takes any.")] = 0,
) -> None:
    """Forward a local port to the app in a job's box, until Ctrl-C. The service need not run."""
    settings = load_settings()
    # Containers are found by a name in the database, so a service is started for the time if none runs.
    with stops_on_signal(), ExitStack() as later:
        if not settings.database_url and run_until_stopped(_are_shared(settings)):
            later.enter_context(service(settings.data_dir))
        run_until_stopped(_open(settings, job, port))


@cli.command()
def api() -> None:
    """Run one API process on HOST and PORT, with the databases that are set or run in DATA_DIR."""
    _become("app.main")


@cli.command()
def worker() -> None:
    """Run one worker, with the databases that are set or run in DATA_DIR."""
    _become("workers.main")


@cli.command()
def migrate() -> None:
    """Migrate the database."""
    asyncio.run(migrate_database(_with_addresses(load_settings()).database_url))
    typer.echo("The database is up to date.")


@cli.command()
def tape(job: Annotated[UUID, typer.Argument(help="The job's id.")]) -> None:
    """Print what a job's models said and its tools did, as JSON lines that `MODEL=tape:FILE` plays again."""
    _become("workers.taping", str(job))


@cli.command()
def doctor() -> None:
    """Say what works on this machine, what does not, and what to do. Exit code 1 if something is missing."""
    settings = load_settings()
    findings = [*examine_machine(settings), *_examine_database(settings), *_examine_boxes(settings)]
    for finding in findings:
        typer.echo(_in_words(finding))
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@cli.command()
def openapi() -> None:
    """Print the API's OpenAPI document as JSON."""
    _run_module("app.main", "--openapi")


@model.command("check")
def model_check(
    name: Annotated[str, typer.Argument(help="A model as in MODEL; without it, MODEL.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Ask a model a few small questions, for less than a cent, and say what works and which setting cures the
    rest. Exit code 1 if something does not work."""
    _run_module("workers.model_check", *([name] if name else []), *(["--yes"] if yes else []))


@user.command("add")
def user_add(email: str, name: Annotated[str, typer.Option(help="How the user is addressed.")] = "") -> None:
    """Add a user. The password is asked for, or read from a pipe."""
    if "@" not in email.strip("@ "):
        raise typer.BadParameter("this is no email address", param_hint="EMAIL")
    password = _ask_password()
    _with_resources(lambda res: accounts.add_user(res, email=email, password=password, name=name))
    typer.echo(f"Added {email}.")


@user.command("passwd")
def user_passwd(email: str) -> None:
    """Give a user a new password. All sessions of the user end."""
    password = _ask_password()
    _with_resources(lambda res: accounts.change_password(res, email=email, password=password))
    typer.echo(f"Changed the password of {email}.")


def main() -> None:
    try:
        cli()
    except KeepsDying as problem:
        typer.echo(str(problem), err=True)
        sys.exit(1)
    except (StackProblem, BadSettings, NotConfigured, UnusableDatabase, Refused, Refusal) as problem:
        typer.echo(str(problem), err=True)
        sys.exit(REFUSED)
    except RuntimeProblem as problem:
        typer.echo(f"The job's box cannot be used: {problem}.", err=True)
        sys.exit(REFUSED)


async def _open(settings: Settings, job_id: UUID, port: int) -> None:
    addressed = _addressed(settings)
    runtime = await open_runtime(addressed)
    app = AppOfJob(
        runtime,
        job_id,
        partial(_is_changing, addressed.database_url, job_id),
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


async def _is_changing(database_url: str, job_id: UUID) -> bool:
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


async def _stop_boxes(settings: Settings) -> None:
    """Stop the boxes. Containers go on if the database is not ours: workers elsewhere may use them."""
    runtime = await open_runtime(_addressed(settings))
    try:
        if not runtime.shared or not settings.database_url:
            await runtime.stop_all()
    finally:
        await runtime.close()


def _examine_boxes(settings: Settings) -> list[Finding]:
    diagnosis = run_until_stopped(examine_boxes(settings))
    found = [Finding("boxes", diagnosis.ok, diagnosis.detail, diagnosis.remedy)]
    if diagnosis.most is not None:
        found.append(describe_building(settings, AT_ONCE, *astuple(diagnosis.most)))
    return found


def _examine_database(settings: Settings) -> list[Finding]:
    if not settings.database_url:
        return []
    at = f"the one of DATABASE_URL at {where(settings.database_url)}"
    try:
        asyncio.run(require_usable(settings.database_url))
    except UnusableDatabase as problem:
        return [Finding("PostgreSQL", False, str(problem))]
    return [Finding("PostgreSQL", True, f"{at} answers and can be used")]


def _in_words(finding: Finding) -> str:
    mark = "" if finding.ok else "NOT WORKING, "
    words = f"{finding.what}: {mark}{finding.detail}"
    return f"{words}\n{indent(finding.remedy, '    ')}" if finding.remedy else words


def _addressed(settings: Settings) -> Settings:
    """The settings; without addresses of databases, with those of the service that runs in DATA_DIR, if one
    does."""
    running = DataDir(settings.data_dir).running() if settings.data_dir.is_dir() else None
    if running is None:
        return settings
    database_url = settings.database_url or running.database_url
    redis_url = settings.redis_url or running.redis_url
    return settings.model_copy(update={"database_url": database_url, "redis_url": redis_url})


def _with_addresses(settings: Settings) -> Settings:
    """Like `_addressed`. Raises NotConfigured if there are no addresses."""
    settings = _addressed(settings)
    if not settings.database_url or not settings.redis_url:
        raise NotConfigured(
            f"Nothing runs in {settings.data_dir.absolute()}: start `boardroom up` first, "
            "or set DATABASE_URL and REDIS_URL."
        )
    return settings


def _with_resources(act: Callable[[Resources], Awaitable[T]]) -> None:
    async def run() -> None:
        async with open_resources(_with_addresses(load_settings())) as resources:
            await act(resources)

    asyncio.run(run())


def _become(module: str, *args: str) -> None:
    """Replace this process by the module, with the addresses in its environment."""
    settings = _with_addresses(load_settings())
    secret = settings.secret_key.get_secret_value() or DataDir(settings.data_dir).secret(SECRET_FILE)
    os.environ.update(DATABASE_URL=settings.database_url, REDIS_URL=settings.redis_url, SECRET_KEY=secret)
    _run_module(module, *args)


def _run_module(module: str, *args: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *args])  # noqa: S606 - no shell


def _ask_password() -> str:
    if sys.stdin.isatty():
        _with_addresses(load_settings())  # fail before the password is typed
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    least, most = PASSWORD_CHARS
    if not least <= len(password) <= most:
        raise typer.BadParameter(f"a password has {least} to {most} characters", param_hint="password")
    return password


def _command() -> str:
    """How this program was called, to be copied by people."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "boardroom" else f"{Path(sys.executable).name} -m app.cli"


if __name__ == "__main__":
    main()

"""The `boardroom` command. It starts processes by module name and imports neither the API nor the workers.
What needs more than settings is in `app.commands`, which is loaded when it is called."""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any
from uuid import UUID

import typer

from app.embedded.addresses import with_addresses
from app.embedded.datadir import DataDir
from app.embedded.errors import StackProblem
from app.embedded.python import command_of
from app.embedded.supervisor import SECRET_FILE, Plan, become_supervisor
from app.settings import BadSettings, load_settings

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
    settings = load_settings()
    become_supervisor(
        Plan(
            settings.data_dir,
            settings.host,
            settings.port,
            settings.api_processes,
            settings.workers,
            settings.secret_key.get_secret_value(),
            settings.database_url,
            settings.redis_url,
            settings.postgres_bin,
            settings.valkey_bin,
        )
    )


@cli.command()
def demo(
    idea: Annotated[str, typer.Option(help="What to build.")] = "a reading list for a book club",
) -> None:
    """Play a client whose app is built, and show it live: on the service in DATA_DIR, or on one of its
    own."""
    if not idea.strip():
        raise typer.BadParameter("the idea is empty", param_hint="--idea")
    _do("demo", idea)


@cli.command("open")
def open_app(
    job: Annotated[UUID, typer.Argument(help="The job's id.")],
    port: Annotated[int, typer.Option(help="The local port; 0 takes any.")] = 0,
) -> None:
    """Forward a local port to the app in a job's box, until Ctrl-C. The service need not run."""
    _do("open_app", job, port)


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
    _do("migrate")


@cli.command()
def tape(job: Annotated[UUID, typer.Argument(help="The job's id.")]) -> None:
    """Print what a job's models said and its tools did, as JSON lines that `MODEL=tape:FILE` plays again."""
    _become("workers.taping", str(job))


@cli.command()
def doctor() -> None:
    """Say what works on this machine, what does not, and what to do. Exit code 1 if something is missing."""
    _do("doctor")


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
    _do("add_user", email, name)


@user.command("passwd")
def user_passwd(email: str) -> None:
    """Give a user a new password. All sessions of the user end."""
    _do("change_password", email)


def main() -> None:
    try:
        cli()
    except (StackProblem, BadSettings) as problem:
        typer.echo(str(problem), err=True)
        sys.exit(REFUSED)


def _do(command: str, *args: object) -> None:
    """Call a function of `app.commands`. What it refuses is printed."""
    commands = import_module("app.commands")
    act: Callable[..., Any] = getattr(commands, command)
    try:
        act(*args)
    except commands.REFUSALS as problem:
        typer.echo(commands.in_words(problem), err=True)
        sys.exit(REFUSED)


def _become(module: str, *args: str) -> None:
    """Replace this process by the module, with the addresses in its environment."""
    settings = with_addresses(load_settings())
    secret = settings.secret_key.get_secret_value() or DataDir(settings.data_dir).secret(SECRET_FILE)
    os.environ.update(DATABASE_URL=settings.database_url, REDIS_URL=settings.redis_url, SECRET_KEY=secret)
    _run_module(module, *args)


def _run_module(module: str, *args: str) -> None:
    os.execv(sys.executable, command_of(module, *args))  # noqa: S606 - no shell


if __name__ == "__main__":
    main()

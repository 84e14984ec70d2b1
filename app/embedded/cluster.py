"""PostgreSQL's data folder: made once, refused if another major version made it, tidied after a crash."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from app.embedded.errors import StackProblem, WrongMajor
from app.embedded.launch import NOBODY
from app.embedded.server import Identity, launch

USER = DATABASE = "boardroom"
PASSWORD_FILE = "postgres.password"  # noqa: S105 - the name of a file
OLDEST_MAJOR = 15
BUILTIN_LOCALE_MAJOR = 17
LEFTOVER_PATIENCE_S = 30.0


def identity_and_major(programs: Path, cwd: Path) -> tuple[Identity, int]:
    """The identity as which PostgreSQL can run here, and its major version: found by trying. Raises
    StackProblem."""
    identities: tuple[Identity, ...] = ("namespace", "nobody") if os.geteuid() == 0 else ("self",)
    said = ""
    for identity in identities:
        asked = launch([programs / "postgres", "--version"], identity=identity, cwd=cwd)
        said = asked.communicate()[0].decode(errors="replace").strip()
        if found := re.match(r"postgres \(PostgreSQL\) (\d+)", said):
            major = int(found[1])
            if major < OLDEST_MAJOR:
                raise StackProblem(f"PostgreSQL {major} in {programs} is too old: {OLDEST_MAJOR} is needed.")
            return identity, major
    reason = said.splitlines()[-1] if said else "it said nothing"
    raise StackProblem(
        f"PostgreSQL cannot run here: {reason}.\nIt refuses to serve as root, and this root may neither make "
        "a user namespace nor become another user. Run Boardroom as an ordinary user, or set DATABASE_URL."
        if os.geteuid() == 0
        else f"PostgreSQL in {programs} does not run: {reason}."
    )


def cluster_folder(data_dir: Path, major: int, programs: Path) -> Path:
    """The data folder of this major version. Raises WrongMajor if there is only one of another version."""
    folder = data_dir / f"pg{major}"
    others = [path for path in data_dir.glob("pg[0-9][0-9]") if path != folder]
    if folder.exists() or not others:
        return folder
    old = max(others)
    raise WrongMajor(_how_to_move(old, folder, programs))


def _how_to_move(old: Path, new: Path, programs: Path) -> str:
    then, now = old.name.removeprefix("pg"), new.name.removeprefix("pg")
    theirs = f"/usr/lib/postgresql/{then}/bin"
    draft = _draft(new)
    password_file = new.parent / PASSWORD_FILE
    make = initdb_command(programs, draft, int(now), password_file)
    move = f"-b {theirs} -B {_q(programs)} -d {old.name} -D {draft.name} && mv {draft.name} {new.name}"
    as_user = "unshare -U --map-user=65534 --map-group=65534 " if os.geteuid() == 0 else ""
    return (
        f"The data in {old} was made by PostgreSQL {then}; this is {now}. Nothing was touched.\n"
        f"To go on with {then}, wherever it is installed: POSTGRES_BIN={theirs}\n"
        "To move, run these two commands, then start again:\n"
        f"  {as_user}{' '.join(map(_q, make))}\n"
        f'  cd {_q(new.parent)} && PGPASSWORD="$(cat {PASSWORD_FILE})" '
        f"{as_user}{_q(programs / 'pg_upgrade')} -U {USER} -s /tmp {move}"
    )


def _q(word: str | Path) -> str:
    return shlex.quote(str(word))


def make_cluster(
    folder: Path, *, programs: Path, major: int, password_file: Path, identity: Identity, durable: bool
) -> None:
    """Make the data folder with our user and database, completely or not at all. Raises StackProblem."""
    draft = _draft(folder)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if identity == "nobody":
        os.chown(draft, NOBODY, NOBODY)
    initdb = initdb_command(programs, draft, major, password_file)
    _run(initdb if durable else [*initdb, "--no-sync"], identity=identity, cwd=draft)
    single: list[str | Path] = [programs / "postgres", "--single", "-D", draft, "template1"]
    _run(single, identity=identity, cwd=draft, stdin=f"CREATE DATABASE {DATABASE}\n")
    draft.rename(folder)


def _draft(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.new")


def initdb_command(programs: Path, folder: Path, major: int, password_file: Path) -> list[str | Path]:
    if major >= BUILTIN_LOCALE_MAJOR:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    else:
        locale = ["--locale=C.UTF-8"]
    access = [
        "--encoding=UTF8",
        "--data-checksums",
        "--auth=scram-sha-256",
        f"--username={USER}",
        f"--pwfile={password_file}",
    ]
    return [programs / "initdb", "-D", folder, *locale, *access]


def owners_identity(folder: Path, identity: Identity) -> Identity:
    """The identity that owns the existing data. Raises StackProblem if PostgreSQL cannot run as that."""
    owner = folder.stat().st_uid
    if identity == "namespace" and owner == NOBODY:
        return "nobody"
    if identity == "nobody" and owner != NOBODY:
        raise StackProblem(
            f"The data in {folder} belongs to user {owner}, and PostgreSQL can only run as {NOBODY} here: "
            f"chown -R {NOBODY}:{NOBODY} {_q(folder)}"
        )
    return identity


def clear_leftover(folder: Path) -> None:
    """After a crash: wait for a PostgreSQL that is still stopping there, and remove the pid file of one that
    is gone. (Another process may have its pid by now, and PostgreSQL would refuse to start.) Raises
    StackProblem."""
    note = folder / "postmaster.pid"
    deadline = time.monotonic() + LEFTOVER_PATIENCE_S
    while (pid := noted_pid(note)) and _works_in(pid, folder):
        if time.monotonic() > deadline:
            raise StackProblem(
                f"Another PostgreSQL (process {pid}) still serves {folder}. End it: kill -INT {pid}"
            )
        time.sleep(0.05)
    note.unlink(missing_ok=True)


def noted_pid(note: Path) -> int | None:
    """The process named in a `postmaster.pid`, if there is one."""
    try:
        return int(note.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
    except OSError:
        return False


def _run(command: Sequence[str | Path], *, identity: Identity, cwd: Path, stdin: str = "") -> None:
    with launch(command, identity=identity, cwd=cwd, stdin=subprocess.PIPE) as process:
        said = process.communicate(stdin.encode())[0].decode(errors="replace")
    if process.returncode != 0 or "FATAL" in said or "ERROR" in said:
        raise StackProblem(f"{command[0]} failed:\n{said.strip()}")

"""Examines what works on this machine and what does not, with a remedy for each. Changes nothing."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from app.domain.preview_origin import DEFAULT_ORIGIN, PreviewOrigin
from app.domain.vendors import VENDORS
from app.embedded.binaries import find_postgres, find_valkey
from app.embedded.cluster import cluster_folder, identity_and_major
from app.embedded.datadir import DataDir
from app.embedded.errors import StackProblem, in_words
from app.proxies import UnusableProxy, proxy_for
from app.settings import Settings

ROOM_BYTES = 2 * 1024**3
"""For a new database, its log and the files of a few apps."""

CONNECT_S = 3.0
THEN_CHECK = "then boardroom model check says whether it works"


@dataclass(frozen=True)
class Finding:
    """`remedy` says what to do; for a finding that is `ok` it may be a hint."""

    what: str
    ok: bool
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        """As people read it."""
        mark = "" if self.ok else "NOT WORKING, "
        words = f"{self.what}: {mark}{self.detail}"
        return f"{words}\n{indent(self.remedy, '    ')}" if self.remedy else words


def examine_machine(settings: Settings) -> list[Finding]:
    """Examine everything except boxes, in well below a second."""
    return [
        Finding("Python", True, f"{platform.python_version()}, {sys.executable}"),
        _data(settings.data_dir.absolute()),
        *_database(settings),
        _redis(settings),
        _address(settings),
        describe_model(settings),
        *_proxy(settings),
        *_previews(settings),
        *_production(settings),
    ]


def describe_model(settings: Settings) -> Finding:
    """Which model is set, and whether a worker can start with it."""
    if settings.model == "rehearsal":
        return Finding("model", True, "the rehearsal: a scripted cast, no language model, costs nothing")
    kind, _, name = settings.model.partition(":")
    if kind == "tape" and name:
        return Finding("model", True, settings.model)
    if not name or kind not in VENDORS:
        remedy = (
            f"MODEL is rehearsal, tape:<file>, or a vendor and a name, as openai:<name>: {', '.join(VENDORS)}"
        )
        return Finding("model", False, f"{settings.model} is not known", f"{remedy}; {THEN_CHECK}")
    needs = VENDORS[kind].needs
    if needs and not any(settings.of(each) for each in needs):
        wanted = " or ".join(needs)
        return Finding("model", False, f"{settings.model} needs {wanted}", f"set {wanted}; {THEN_CHECK}")
    return Finding(
        "model", True, settings.model, "boardroom model check says whether it works, and what it lacks"
    )


def describe_building(
    settings: Settings, boxes: int, memory_bytes: int, processes: int, disk_bytes: int
) -> Finding:
    """What one job with so many `boxes` may use while it is built, where each may use so much; and how many
    jobs are built at the same time."""
    memory, disk = (f"{boxes * size / 1024**3:.1f} GiB" for size in (memory_bytes, disk_bytes))
    jobs = min(settings.workers * settings.worker_slots, settings.workspaces_max)
    return Finding(
        "a building job",
        True,
        f"may use {memory} of memory, {boxes * processes} processes and {disk} of disk "
        f"in up to {boxes} boxes; "
        f"WORKERS={settings.workers} build {jobs} jobs at a time",
        "These are limits, most apps use little. docs/deployment.md: How large a machine",
    )


def _proxy(settings: Settings) -> list[Finding]:
    """How the model's server is reached, if a proxy of the environment has a part in it."""
    kind = settings.model.partition(":")[0]
    if kind not in VENDORS:
        return []
    url = settings.of(VENDORS[kind].address) or VENDORS[kind].usual
    try:
        proxy = proxy_for(url)
    except UnusableProxy as problem:
        return [Finding("proxy", False, str(problem))]
    if proxy is None:
        return []
    where = f"{urlsplit(proxy).scheme}://{urlsplit(proxy).hostname}"
    return [Finding("proxy", True, f"{urlsplit(url).hostname} is asked through {where}")]


def _data(folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("data", False, f"{there} cannot be written to", "set DATA_DIR to another folder")
    free = shutil.disk_usage(there).free
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    enough = free >= ROOM_BYTES
    return Finding("data", enough, detail, "" if enough else "make 2 GiB of room, or set DATA_DIR elsewhere")


def _database(settings: Settings) -> list[Finding]:
    """The embedded one. Another is examined by whoever can connect to it."""
    if settings.database_url:
        return []

    def own() -> str:
        programs = find_postgres(settings.postgres_bin)
        identity, major = identity_and_major(programs, Path("/"))
        cluster_folder(settings.data_dir.absolute(), major, programs)
        how = {
            "self": "",
            "namespace": ", in a user namespace since we are root",
            "nobody": ", as user nobody",
        }
        return f"{major}, our own from {programs}{how[identity]}"

    return [_try("PostgreSQL", own)]


def _redis(settings: Settings) -> Finding:
    if settings.redis_url:
        return _reach("Redis", settings.redis_url, 6379, "check REDIS_URL and that server")
    return _try("Redis", lambda: f"Valkey, our own: {find_valkey(settings.valkey_bin)}")


def _address(settings: Settings) -> Finding:
    address = f"{settings.host}:{settings.port}"
    running = DataDir(settings.data_dir).running() if settings.data_dir.is_dir() else None
    if running:
        return Finding("address", True, f"Boardroom runs at {running.url} (process {running.pid})")
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        socket.create_server((settings.host, settings.port), family=family).close()
    except OSError as error:
        return Finding("address", False, f"{address}: {in_words(error)}", "choose another: PORT=… or HOST=…")
    return Finding("address", True, f"{address} is free")


def _previews(settings: Settings) -> list[Finding]:
    """What apps can do to each other in a browser, where they are not apart."""
    origin = PreviewOrigin(settings.preview_origin)
    if not origin.is_shared:
        return []
    detail = (
        f"browsers take all apps below {origin.domain} as one site: an app can set cookies for all of them, "
        "and the answer to too many cookies deletes those of all"
    )
    remedy = (
        f"have {origin.domain} put on the Public Suffix List, and serve nothing else below it; on one "
        f"machine {DEFAULT_ORIGIN} keeps apps apart"
    )
    return [Finding("previews", True, detail, remedy)]


def _production(settings: Settings) -> list[Finding]:
    if not settings.production:
        return []
    found = []
    if not settings.ws_token_query:
        detail = "browser clients on another origin that know only ?token= cannot open a socket"
        found.append(Finding("sockets", True, detail, "if there are such clients: ALLOW_WS_TOKEN_QUERY=true"))
    if not settings.forwarded_allow_ips:
        detail = "X-Forwarded-For and -Proto count for nobody, so all clients of a proxy are one address"
        remedy = "behind a proxy: FORWARDED_ALLOW_IPS=<the proxy's address>, or logins are limited together"
        found.append(Finding("clients", True, detail, remedy))
    elif settings.forwarded_allow_ips == "*":
        detail = "X-Forwarded-For counts for everybody, so a client may pass for any address at each login"
        found.append(Finding("clients", True, detail, "FORWARDED_ALLOW_IPS=<the proxy's address>"))
    return found


def _try(what: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, find())
    except StackProblem as problem:
        detail, _, remedy = str(problem).partition("\n")
        return Finding(what, False, detail, remedy)


def _reach(what: str, url: str, default_port: int, remedy: str) -> Finding:
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or default_port
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        return Finding(what, False, f"{host}:{port} does not answer: {error}", remedy)
    return Finding(what, True, f"{host}:{port} answers")

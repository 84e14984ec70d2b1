"""Which checks of earlier tickets run after a ticket, and which of them can wait.

First those whose files or routes the ticket has touched, as far as names tell; the others only while a model
is awaited, until the next ticket is judged. At the end all of them run on the last commit, so this decides
only how early a regression is seen. Unit tests that the profile's whole run covers are not run by name.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import structlog

from app.domain.errors import Unavailable
from app.domain.ticket import AnyCheck, CommandCheck, FileCheck
from app.domain.workspace import LIST_LIMIT, ROOT
from app.runtime.workspace import Commit, Node, RuntimeProblem, Workspace
from app.store.tables import Ticket
from app.unit import LeaseLost
from workers.context import Context, Paused
from workers.pipeline import spec as specs
from workers.pipeline.proof.evidence import Asked, Finding, checks_of, run_checks
from workers.pipeline.proof.kept_tests import judged_on
from workers.profiles.catalogue import find

log = structlog.get_logger()

DIFF_BYTES = 256 * 1024
"""A longer diff touches everything."""

_PREFIXES = frozenset({"api", "v1", "v2"})
_BY_NAME = {
    "python3 -m unittest discover": re.compile(r"python3? -m unittest( -[vqbf]+)*( tests\.test_[\w.]+)+"),
    "python3 -m pytest -q -p no:cacheprovider": re.compile(
        r"(python3? -m )?pytest( -[vqx]+| -p no:cacheprovider)*( tests/test_\w+\.py(::\w+)*)+"
    ),
    "node --test 'tests/*.test.js'": re.compile(r"node --test( tests/[\w-]+\.test\.js)+"),
}
"""The whole runs of profiles, and the lines that run some of the same tests by name."""


@dataclass(frozen=True)
class Touched:
    """What a ticket has changed: `paths` of files, and its `lines`, old and new ones. `files` are the stems
    of all files of the app. Of a diff that is too long, `whole` is true."""

    paths: frozenset[str]
    lines: str
    files: frozenset[str]
    whole: bool = False

    def by(self, check: AnyCheck) -> bool:
        """Whether what the check looks at may be touched."""
        if self.whole:
            return True
        if isinstance(check, FileCheck):
            return str(PurePosixPath(check.path)).removeprefix(f"{ROOT}/") in self.paths
        if isinstance(check, CommandCheck):
            named = {_stem(word) for word in re.findall(r"[\w-]+", check.run)} & self.files
            return not named or not named.isdisjoint(map(_stem, self.paths))
        routes = [_route(path) for path in _paths(check.model_dump())]
        return any(not route or re.search(rf"\b{re.escape(route)}\b", self.lines) for route in routes)


def _stem(path: str) -> str:
    """The name of a file without its kind, and of a test that of what it tests."""
    name = path.rpartition("/")[2].partition(".")[0]
    return name.removeprefix("test_") or name


def _paths(value: object) -> Iterable[str]:
    """The paths that a request asks for, with those of its steps."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _route(path: str) -> str:
    """The first part of a path that names something; "" for the front page."""
    parts = re.findall(r"[A-Za-z][\w-]*", re.sub(r"\{\{\w*\}\}", "", path.partition("?")[0]))
    return next((part for part in parts if part.lower() not in _PREFIXES), "")


def read_diff(diff: str, files: Iterable[str]) -> Touched:
    lines = [line for line in diff.splitlines() if line[:1] in "+-"]
    heads = re.findall(r"^diff --git a/(.+?) b/(.+)$", diff, re.M)
    paths = frozenset(path for head in heads for path in head)
    whole = len(diff.encode()) >= DIFF_BYTES
    return Touched(paths, "\n".join(lines), frozenset(map(_stem, files)), whole)


async def after_ticket(
    context: Context, workspace: Workspace, earlier: Sequence[Ticket], base: Commit, commit: Commit
) -> tuple[list[Asked], list[Asked]]:
    """The checks of `earlier` tickets on `commit`, which was made of `base`: those that are run now, and
    those that can wait."""
    if not earlier:
        return [], []
    diff = await workspace.diff(base.tree, commit.tree, DIFF_BYTES)
    listing = await workspace.list(ROOT, LIST_LIMIT[1])
    touched = read_diff(diff, _files(listing.structure))
    whole_runs = [check.run.strip() for check in find((await specs.load(context)).profile).checks]
    now, later = list[Asked](), list[Asked]()
    for ticket in earlier:
        for check in checks_of(ticket):
            tested = await judged_on(context, workspace, ticket, check, commit)
            if tested == commit and is_covered(check, whole_runs):
                continue
            asked = Asked(ticket, check, tested, "regression")
            (now if tested != commit or touched.by(check) else later).append(asked)
    return now, later


def is_covered(check: AnyCheck, whole_runs: Iterable[str]) -> bool:
    """Whether a check only runs tests that one of these commands runs, too."""
    if not isinstance(check, CommandCheck) or check.expect_exit or check.expect_output is not None:
        return False
    return any(run in _BY_NAME and _BY_NAME[run].fullmatch(check.run.strip()) for run in whole_runs)


def _files(nodes: Sequence[Node]) -> Iterable[str]:
    for node in nodes:
        if node.type == "file":
            yield node.path
        else:
            yield from _files(node.children)


async def broken_by(
    context: Context,
    workspace: Workspace,
    findings: Sequence[Finding],
    tickets: Sequence[Ticket],
    base: Commit,
) -> list[Finding]:
    """Those of the failed `findings` that held on `base`, the commit before the ticket. The others were
    broken before, and are left for the end, where the commit that broke them is found."""
    owners = {ticket.id: ticket for ticket in tickets}
    asked = [
        Asked(owner, finding.check, await judged_on(context, workspace, owner, finding.check, base), "bisect")
        for finding in findings
        for owner in [owners[finding.ticket_id]]
    ]
    before = await run_checks(context, workspace, asked)
    return [finding for finding, then in zip(findings, before, strict=True) if not then.failed]


async def look_on(context: Context, workspace: Workspace, asked: Sequence[Asked]) -> None:
    """Run checks one by one whenever a model is awaited. What is seen is evidence; nobody waits for it."""
    try:
        for item in asked:
            await context.awaited.long()
            await run_checks(context, workspace, [item])
    except (RuntimeProblem, Unavailable, LeaseLost, Paused) as problem:
        log.info("regression.dropped", job=str(context.job_id), problem=str(problem))

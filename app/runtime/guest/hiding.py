"""Finds files that would be imported instead of a module of the standard library or of an installed package.

Whoever imports such a module gets the file, the test runner too, and then tests may pass whatever the app
does. See decision 35.
"""

import contextlib
import filecmp
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from glob import escape as glob_escape
from glob import glob

from .walk import breathe

ENVIRONMENTS = frozenset({"node_modules", "site-packages", "dist-packages", ".venv", "venv"})
"""Folders of installed packages."""

TESTS = re.compile(r"tests?|__tests__|specs?|e2e")
"""Folders that test runners put in front of the standard library even if they are packages. Nobody imports
the modules of these names that others have (`test` is Python's own)."""

OWN = frozenset(sys.stdlib_module_names) | {"sitecustomize", "usercustomize", "boardroom_checks"}
"""Also the module that the service gives to commands of checks."""
SITES = ("/usr/lib/python3*/*-packages", "/usr/local/lib/python3*/*-packages")
MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Installed:
    """What was found in a checkout after its install step: `files`, the paths of modules outside of
    environments; `clashes`, by path, the installed package that a module hides; the names of `packages` for
    Node."""

    files: frozenset[str]
    clashes: dict[str, str]
    packages: frozenset[str]


def importable(paths: Iterable[str]) -> dict[str, str]:
    """The files by which a module or package may be imported by its own name, with that name. They lie in a
    folder that can come before the standard library: the top, each folder that is no package, and tests."""
    modules, packages = list[tuple[str, str, str]](), dict[str, str]()
    for path in paths:
        folder, _, file = path.rpartition("/")
        name = module_of(file)
        if name == "__init__":
            packages[folder] = path
        elif name:
            modules.append((folder, name, path))

    def comes_first(folder: str) -> bool:
        return not folder or folder not in packages or bool(TESTS.fullmatch(folder.rpartition("/")[2]))

    found = {path: name for folder, name, path in modules if comes_first(folder)}
    for package, path in packages.items():
        folder, _, name = package.rpartition("/")
        if name and comes_first(folder):
            found[path] = name
    return found


def module_of(file: str) -> str:
    """The module that a file of this name holds: source, compiled, or an extension; "" if none."""
    name, _, kind = file.partition(".")
    return name if kind in ("py", "pyc", "so") or kind.endswith(".so") else ""


def hiding_own(before: Iterable[str], after: Iterable[str]) -> dict[str, str]:
    """The files of `after` that hide a module of the standard library, with its name, unless they did so in
    `before`."""
    known = importable(before)
    return {
        path: name
        for path, name in importable(after).items()
        if name in OWN and path not in known and not TESTS.fullmatch(name)
    }


def in_environments(paths: Iterable[str]) -> list[str]:
    return [path for path in paths if not ENVIRONMENTS.isdisjoint(path.split("/")[:-1])]


def package_named(content: bytes) -> str:
    """The name in a package.json; "" if there is none."""
    with contextlib.suppress(ValueError, RecursionError):
        package = json.loads(content)
        if isinstance(package, dict) and isinstance(package.get("name"), str):
            return str(package["name"])
    return ""


async def look(folder: str, home: str) -> Installed:
    """What an install step has made of the checkout `folder`."""
    files, sites, packages = set[str](), list[str](), set[str]()
    async for path, is_folder in _entries(folder):
        name = path.rpartition("/")[2]
        if is_folder and name == "node_modules":
            packages.update(_node_packages(f"{folder}/{path}"))
        elif is_folder and name.endswith("-packages"):
            sites.append(f"{folder}/{path}")
        elif not is_folder and module_of(name):
            files.add(path)
    sites += [
        *glob(f"{home}/.local/lib/python3*/*-packages"),
        *(site for kind in SITES for site in glob(kind)),
    ]
    outside = [path for path in files if not in_environments([path])]
    return Installed(frozenset(outside), dict(_clashes(folder, outside, sites)), frozenset(packages))


async def _entries(folder: str) -> AsyncIterator[tuple[str, bool]]:
    """Each entry below `folder` as (relative path, is a folder), at most MOST_ENTRIES. Packages that are
    installed are not entered."""
    waiting, looked = [""], 0
    while waiting and looked < MOST_ENTRIES:
        inner = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(f"{folder}/{inner}") as entries:
            for entry in entries:
                path = f"{inner}{entry.name}"
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and entry.name != "node_modules" and not entry.name.endswith("-packages"):
                    waiting.append(f"{path}/")
                yield path, is_folder
                looked += 1
                await breathe(looked)


def _node_packages(modules: str) -> Iterator[str]:
    """The packages in a `node_modules`. Links lead to the app's own ones."""
    with contextlib.suppress(OSError), os.scandir(modules) as entries:
        for entry in entries:
            if entry.name.startswith("@") and entry.is_dir(follow_symlinks=False):
                yield from (f"{entry.name}/{name}" for name in _node_packages(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                yield entry.name


def _clashes(folder: str, files: Iterable[str], sites: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The modules of the app that hide one in `sites`, with its name. One that is the same file hides
    nothing: the app may be installed, too."""
    known = importable(files)
    firsts = {"", *(path.rpartition("/")[0] for path in known)}
    for site in sites:
        tops = _tops(site)
        for path, name in known.items():
            if name in tops and _differ(folder, _unit(path), f"{site}/{name}", files):
                yield path, name
        for path in files:
            parts = path.split("/")
            for depth, name in enumerate(parts[:-1]):
                # A folder without __init__ adds to one of the same kind that is installed.
                if name in tops and "/".join(parts[:depth]) in firsts:
                    inner = f"{site}/{'/'.join(parts[depth:])}"
                    if tops[name] and os.path.exists(inner) and not _same(f"{folder}/{path}", inner):
                        yield path, name


def _unit(path: str) -> str:
    """The folder of a package, or the path of a module without what comes after its name."""
    folder, _, file = path.rpartition("/")
    if module_of(file) == "__init__":
        return folder
    return path[: len(path) - len(file)] + module_of(file)


def _tops(site: str) -> dict[str, bool]:
    """The names that can be imported from a folder of installed packages, and whether they are folders
    without `__init__`."""
    found = dict[str, bool]()
    with contextlib.suppress(OSError), os.scandir(site) as entries:
        for entry in entries:
            name = entry.name if entry.is_dir() and "." not in entry.name else module_of(entry.name)
            if name and name != "__pycache__" and not TESTS.fullmatch(name):
                found[name] = entry.is_dir() and not glob(f"{glob_escape(entry.path)}/__init__.*")
    return found


def _differ(folder: str, unit: str, installed: str, files: Iterable[str]) -> bool:
    """Whether the app's module or package `unit` has another file for any module of the installed one."""
    mine = dict[str, set[str]]()
    for path in files:
        if path.startswith((f"{unit}/", f"{unit}.")):
            mine.setdefault(_dotted(path[len(unit) :]), set()).add(path[len(unit) :])
    theirs = [f"/{path}" for path in _modules(installed)] or [
        path[len(installed) :]
        for path in glob(f"{glob_escape(installed)}.*")
        if module_of(path.rpartition("/")[2])
    ]
    return any(
        mine.get(_dotted(path)) != {path} or not _same(f"{folder}/{unit}{path}", f"{installed}{path}")
        for path in theirs
    )


def _dotted(path: str) -> str:
    """The same for all files that hold the same module: `/a/b.py`, `/a/b/__init__.py`."""
    folder, _, file = path.rpartition("/")
    name = module_of(file)
    return folder if name == "__init__" else f"{folder}/{name}"


def _modules(package: str) -> Iterator[str]:
    waiting, looked = [""], 0
    while waiting and looked < MOST_ENTRIES:
        inner = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(f"{package}/{inner}") as entries:
            for entry in entries:
                looked += 1
                if entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
                    waiting.append(f"{inner}{entry.name}/")
                elif module_of(entry.name):
                    yield f"{inner}{entry.name}"


def _same(one: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return filecmp.cmp(one, other, shallow=False)
    return False

"""Restores the parts of project files that configure tests, and keeps the parts that name dependencies.

It serves `Repository.with_tests`: an earlier commit's tests are run against the present app."""

import json
import re
from collections.abc import Iterator
from typing import Any

NEEDED = (
    "dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "overrides", "workspaces",
    "type", "main", "exports", "imports", "engines",
)  # fmt: skip
"""Keys of a package.json that describe what the app is made of, not how it is tested."""

MIXED = ("package.json", "pyproject.toml")
"""Files that contain both kinds of parts."""

NOT_ASKED_FOR = ("pre", "post", "test", "install")
"""Prefixes of scripts that npm runs by itself, or that are tests. New ones of these are not taken over."""

NEEDED_TABLES = ("project", "dependency-groups", "build-system")
"""The tables of a pyproject.toml that correspond to `NEEDED`."""

_HEADER = re.compile(r"^\s*\[{1,2}\s*([\w.\"' -]+?)\s*\]{1,2}\s*(?:#.*)?$")


def put_back(path: str, then: bytes, now: bytes) -> bytes:
    """The content to use instead of `now`, where the file was `then`: `then` with the dependencies of `now`,
    or exactly `now` if they differ in nothing that tests depend on."""
    name = path.rpartition("/")[2]
    try:
        if name == "package.json":
            return _package(then, now)
        if name == "pyproject.toml":
            return _pyproject(then.decode(), now.decode()).encode()
    except ValueError:
        pass
    return then


def _package(then: bytes, now: bytes) -> bytes:
    old, new = json.loads(then), json.loads(now)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return then
    merged = {key: value for key, value in old.items() if key not in NEEDED}
    merged |= {key: new[key] for key in NEEDED if key in new}
    if scripts := {**_asked_for(new), **_scripts(old)}:
        merged["scripts"] = scripts
    if all(merged.get(key) == new.get(key) for key in {*merged, *new} - {"name", "version", "description"}):
        return now
    return json.dumps(merged, indent=2).encode()


def _scripts(package: dict[str, Any]) -> dict[str, Any]:
    scripts = package.get("scripts")
    return scripts if isinstance(scripts, dict) else {}


def _asked_for(package: dict[str, Any]) -> dict[str, Any]:
    return {name: line for name, line in _scripts(package).items() if not name.startswith(NOT_ASKED_FOR)}


def _pyproject(then: str, now: str) -> str:
    steered = [text for needed, text in _tables(then) if not needed]
    if steered == [text for needed, text in _tables(now) if not needed]:
        return now
    return "".join([*steered, *(text for needed, text in _tables(now) if needed)])


def _tables(text: str) -> Iterator[tuple[bool, str]]:
    """Each table's text with its header, and whether it is one of `NEEDED_TABLES`. The first item is the text
    before the first table."""
    needed, lines = False, list[str]()
    for line in f"{text.rstrip()}\n".splitlines(keepends=True):
        if found := _HEADER.match(line):
            yield needed, "".join(lines).strip() + "\n"
            needed, lines = found[1].split(".")[0] in NEEDED_TABLES, []
        lines.append(line)
    yield needed, "".join(lines).strip() + "\n"

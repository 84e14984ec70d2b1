"""Packs the guest's source into an environment variable, so that every image can be used for boxes, and makes
the program that unpacks it there."""

import ast
import base64
import hashlib
import json
import zlib
from functools import cache
from importlib import resources

VARIABLE = "BOARDROOM_GUEST"

NOT_MODULES = ("__init__.py", "boot.py", "page.py", "boardroom_checks.py")
"""Files of the guest's folder that are not packed: `boot.py` loads the modules, and the others are
sent with the checks that use them."""

MAX_BYTES = 120_000
"""The kernel allows 128 KiB for one environment variable."""


@cache
def guest_modules() -> dict[str, str]:
    """The source of the package `guest` and each of its modules, by name."""
    files = sorted(_folder().iterdir(), key=lambda file: file.name)
    modules = [file for file in files if file.name.endswith(".py") and file.name not in NOT_MODULES]
    return {"guest": ""} | {
        f"guest.{file.name.removesuffix('.py')}": file.read_text(encoding="utf-8") for file in modules
    }


@cache
def guest_digest() -> str:
    """The digest of the guest's source, by which an image names the guest that it has installed."""
    return hashlib.sha256(json.dumps(guest_modules()).encode()).hexdigest()[:16]


@cache
def guest_source() -> str:
    """The value of `VARIABLE`: the digest, and the guest's modules as compressed text for images that have
    not installed it."""
    packed = base64.b64encode(zlib.compress(json.dumps(guest_modules()).encode(), 9)).decode()
    if len(packed) > MAX_BYTES:
        raise ValueError(f"the guest is {len(packed)} bytes, more than {MAX_BYTES}")
    return f"{guest_digest()} {packed}"


@cache
def guest_boot() -> str:
    """The argument of `python3 -c`: `guest/boot.py` without comments and docstrings."""
    program = ast.parse(_folder().joinpath("boot.py").read_text(encoding="utf-8"))
    for node in ast.walk(program):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [each for each in body if not _is_text(each)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(program)


def _folder() -> resources.abc.Traversable:
    return resources.files("app.runtime.guest")


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)

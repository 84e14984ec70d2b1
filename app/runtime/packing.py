"""The guest's source as one text that fits in an environment variable, so that no image has to hold it; and
the program that takes it from there."""

import ast
import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

VARIABLE = "BOARDROOM_GUEST"

NOT_MODULES = ("__init__.py", "boot.py", "page.py")
"""Of the guest's folder: the program that loads the others, and one that is sent when it is needed."""

MAX_BYTES = 120_000
"""The kernel takes 128 KiB in one string of an environment."""


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
    """What an image calls exactly this guest by."""
    return hashlib.sha256(json.dumps(guest_modules()).encode()).hexdigest()[:16]


@cache
def guest_source() -> str:
    """The value of `VARIABLE`: the digest, and the source for where the image does not carry it."""
    packed = pack(guest_modules())
    if len(packed) > MAX_BYTES:
        raise ValueError(f"the guest is {len(packed)} bytes, more than {MAX_BYTES}")
    return f"{guest_digest()} {packed}"


def pack(modules: Mapping[str, str]) -> str:
    """See `boot` for how they are unpacked."""
    return base64.b64encode(zlib.compress(json.dumps(modules).encode(), 9)).decode()


@cache
def guest_boot() -> str:
    """What `python3 -c` gets: `guest/boot.py` without what is only there to be read."""
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

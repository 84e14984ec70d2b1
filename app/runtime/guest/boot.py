"""What the guest's Python gets to run (see `packing`): it makes the other modules importable and starts.

How long this takes is most of what a new box costs beside the engine's own time (docs/decisions/0021). So the
collector waits, and nothing is loaded before somebody needs it.
"""

import gc
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from types import CodeType, ModuleType

CARRIED = "/usr/local/lib/boardroom"
"""Where an image may have all that the guest loads until its first answer, compiled (see `docker.image`)."""

LATE = (
    "asyncio.log", "asyncio.sslproto", "asyncio.staggered", "concurrent.futures", "hashlib", "inspect",
    "linecache", "logging", "shutil", "subprocess", "textwrap", "typing", "zipfile",
    "guest.application", "guest.archive", "guest.bundle", "guest.checking", "guest.installing",
    "guest.repository", "guest.web",
)  # fmt: skip
"""What the guest, or asyncio, imports and does not need for the first answer."""


class Late(ModuleType):
    """Stands for a module until something of it is used. (`importlib.util.LazyLoader` costs what it saves,
    and before Python 3.13 it loads at the import already.)"""

    def __getattr__(self, name: str) -> object:
        if name == "__path__":  # asked of whatever something is imported from
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            __import__(self.__name__)
        return getattr(sys.modules[self.__name__], name)


class Logger:
    """asyncio's, which it makes when it is imported, until it has something to say that is heard."""

    def debug(self, *_: object) -> None:
        """Not unless `logging` is told otherwise."""

    def __getattr__(self, name: str) -> object:
        from logging import getLogger

        return getattr(getLogger("asyncio"), name)


STATES = ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED")
STAND_INS: dict[str, dict[str, object]] = {
    "asyncio.log": {"logger": Logger()},
    "concurrent.futures": dict(zip(STATES, STATES, strict=True)),
    "logging": {"DEBUG": 10},
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},
    "typing": {
        "Any": object, "Optional": list, "Protocol": object, "Type": list,
        "dataclass_transform": lambda: lambda of: of, "final": lambda of: of,
    },
}  # fmt: skip
"""What asyncio and the guest take from some of these while they are imported themselves."""


class Finder:
    """Finds and loads the modules of the package `guest`, and what else the image carries with it."""

    def __init__(self, packed: str) -> None:
        digest, _, source = packed.partition(" ")
        self._compiled = _carried(digest)
        self._source = {} if self._compiled else _unpacked(source)

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name not in self._compiled and name not in self._source:
            return None
        spec = ModuleSpec(name, self)  # type: ignore[arg-type]
        spec.submodule_search_locations = self._folders(name)
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code(module.__name__), module.__dict__)

    def _folders(self, name: str) -> list[str] | None:
        """Of a package, where those of its modules are that are not carried; None for what is none."""
        if self._compiled:
            return self._compiled[name][0]
        return [] if name == "guest" else None

    def _code(self, name: str) -> CodeType:
        if self._compiled:
            return self._compiled[name][1]
        return compile(self._source[name], f"{name.replace('.', '/')}.py", "exec", dont_inherit=True)


def _carried(digest: str) -> dict[str, tuple[list[str] | None, CodeType]]:
    """By name a module's folders, if it is a package, and its code: exactly this guest's, for exactly this
    Python; nothing where the image does not carry that."""
    try:
        with open(f"{CARRIED}/{digest}.{sys.implementation.cache_tag}", "rb") as file:
            version, modules = marshal.loads(file.read())
    except FileNotFoundError:
        return {}
    return modules if version == sys.version else {}


def _unpacked(source: str) -> dict[str, str]:
    import json
    import zlib
    from binascii import a2b_base64

    return json.loads(zlib.decompress(a2b_base64(source)))  # type: ignore[no-any-return]


if __name__ == "__main__":
    gc.disable()
    # asyncio does without ssl when there is none, and starts in half the time.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    sys.modules.update((name, Late(name)) for name in LATE)
    for name, taken in STAND_INS.items():
        vars(sys.modules[name]).update(taken)
    vars(__import__("concurrent")).update(futures=sys.modules["concurrent.futures"])
    sys.meta_path.insert(0, Finder(os.environ.pop("BOARDROOM_GUEST")))

    from guest.main import main  # type: ignore[import-not-found]

    # What is there by now stays, so the collector need not look through it; nor do our children copy it.
    gc.freeze()
    gc.enable()
    main()

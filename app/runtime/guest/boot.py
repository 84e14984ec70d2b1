"""The first code that Python runs in a box (see `packing`): it makes the guest's modules importable and
starts the guest.

Apart from the engine's own work, the time for this is most of what a new box costs (docs/decisions/0021).
Therefore garbage collection is off meanwhile, and no module is loaded before it is needed.
"""

import gc
import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from types import CodeType, ModuleType

CARRIED = "/usr/local/lib/boardroom"
"""Where an image may have the compiled modules that the guest loads before its first answer (see
`docker.image`)."""

LATE = (
    "asyncio.log", "asyncio.sslproto", "asyncio.staggered", "concurrent.futures", "hashlib", "inspect",
    "linecache", "logging", "shutil", "subprocess", "textwrap", "typing", "zipfile",
    "guest.application", "guest.archive", "guest.bundle", "guest.caches", "guest.checking",
    "guest.data", "guest.data_tar", "guest.going_live", "guest.installing", "guest.repository", "guest.web",
)  # fmt: skip
"""Modules that the guest or asyncio imports but does not need for the first answer."""


class Late(ModuleType):
    """A placeholder that loads a module when an attribute of it is first used. (`importlib.util.LazyLoader`
    takes as much time as it saves, and before Python 3.13 it loads the module at once.)"""

    def __getattr__(self, name: str) -> object:
        if name == "__path__":  # `import` asks for it and must not load the module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
            __import__(self.__name__)
        return getattr(sys.modules[self.__name__], name)


class Logger:
    """Stands for asyncio's logger, so that `logging` is loaded only when a message is to be logged."""

    def debug(self, *_: object) -> None:
        """Nothing: debug messages are not logged."""

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
"""The attributes of such modules that asyncio and the guest use while they are being imported."""


class Finder:
    """Finds and loads the modules of the package `guest`, and further modules that the image has compiled."""

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
        """None: Python makes the module object itself."""

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code(module.__name__), module.__dict__)

    def _folders(self, name: str) -> list[str] | None:
        """The folders of a package, in which Python finds modules that the image has not compiled; None for a
        module that is no package."""
        if self._compiled:
            return self._compiled[name][0]
        return [] if name == "guest" else None

    def _code(self, name: str) -> CodeType:
        if self._compiled:
            return self._compiled[name][1]
        return compile(self._source[name], f"{name.replace('.', '/')}.py", "exec", dont_inherit=True)


def _carried(digest: str) -> dict[str, tuple[list[str] | None, CodeType]]:
    """The compiled modules of the image, by name: the folders of a package (else None) and the code. Empty
    unless they were compiled from exactly this source by exactly this Python."""
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
    # Without ssl asyncio loads in half the time.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    sys.modules.update((name, Late(name)) for name in LATE)
    for name, taken in STAND_INS.items():
        vars(sys.modules[name]).update(taken)
    vars(__import__("concurrent")).update(futures=sys.modules["concurrent.futures"])
    sys.meta_path.insert(0, Finder(os.environ.pop("BOARDROOM_GUEST")))

    from guest.main import main  # type: ignore[import-not-found]

    # These objects live as long as the process. The collector need not look through them, and as it does not
    # write to them, forked children share their memory.
    gc.freeze()
    gc.enable()
    main()

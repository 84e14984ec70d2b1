"""The first code that Python runs in a box (see `packing`): it makes the guest's modules importable and
starts the guest.

Apart from the engine's own work, the time for this is most of what a new box costs (docs/decisions/0021).
"""

import gc
import json
import os
import sys
import zlib
from binascii import a2b_base64
from importlib.machinery import ModuleSpec
from types import ModuleType

INSTALLED = "/usr/local/lib/boardroom"
"""Where an image may have the package `guest`, in a folder that is named by the digest of its source (see
`docker.image`). Then Python has it compiled already."""


class Finder:
    """Finds and loads the modules of the package `guest`, given their source by name."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name not in self._sources:
            return None
        return ModuleSpec(name, self, is_package=name == "guest")  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """None: Python makes the module object itself."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        exec(compile(self._sources[name], f"{name.replace('.', '/')}.py", "exec"), vars(module))


if __name__ == "__main__":
    gc.disable()
    # The guest speaks no TLS, and asyncio loads in half the time where there is none.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    digest, _, packed = os.environ.pop("BOARDROOM_GUEST").partition(" ")
    if os.path.isdir(f"{INSTALLED}/{digest}"):
        sys.path.insert(0, f"{INSTALLED}/{digest}")
    else:
        sys.meta_path.insert(0, Finder(json.loads(zlib.decompress(a2b_base64(packed)))))

    from guest.main import main  # type: ignore[import-not-found]

    # These objects live as long as the process. The collector need not look through them, and as it does not
    # write to them, forked children share their memory.
    gc.freeze()
    gc.enable()
    main()

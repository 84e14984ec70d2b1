"""Adds the compiled guest to an image, so that a new box does not have to compile it.

    python -m app.runtime.docker.image FOLDER BASE      (scripts/workspace-image)

writes into FOLDER what `docker build` needs to add one file to the image BASE: the compiled guest, with the
modules of the standard library that it loads before its first answer. The file's name contains the digest of
the guest's source and the Python version. It is an optimization only: every container also gets the source,
and compiles it if the image has no file that fits.
"""

import sys
from pathlib import Path

from app.runtime.guest.boot import CARRIED
from app.runtime.packing import guest_boot, guest_digest, guest_source

COMPILE = """\
import marshal, os, sys

before = set(sys.modules)
folder, digest = "FOLDER", "DIGEST"
with open("/tmp/boot.py") as boot, open("/tmp/guest") as guest:
    os.environ["BOARDROOM_GUEST"] = guest.read()
    # All but its last line, which would start the guest.
    exec(boot.read().rstrip().removesuffix("main()"))
finder = sys.meta_path[0]
modules = {name: (finder._folders(name), finder._code(name)) for name in finder._source}
for name in set(sys.modules) - before:
    spec = vars(sys.modules[name]).get("__spec__") if sys.modules[name] else None
    if type(getattr(spec, "loader", None)).__name__ == "SourceFileLoader":
        folders, code = spec.submodule_search_locations, spec.loader.get_code(name)
        modules[name] = (None if folders is None else list(folders), code)
os.makedirs(folder, exist_ok=True)
with open(f"{folder}/{digest}.{sys.implementation.cache_tag}", "wb") as file:
    marshal.dump((sys.version, modules), file)
"""
DOCKERFILE = f"""\
FROM {{base}}
USER 0:0
COPY guest boot.py compile.py /tmp/
RUN python3 -I -S /tmp/compile.py && rm /tmp/guest /tmp/boot.py /tmp/compile.py
USER 1000:1000
LABEL boardroom.guest={guest_digest()}
"""


def lay_out(folder: Path, base: str) -> None:
    """Write the build context into `folder`; `base` is the image to build on."""
    folder.joinpath("guest").write_text(guest_source())
    folder.joinpath("boot.py").write_text(guest_boot())
    program = COMPILE.replace("FOLDER", CARRIED).replace("DIGEST", guest_digest())
    folder.joinpath("compile.py").write_text(program)
    folder.joinpath("Dockerfile").write_text(DOCKERFILE.format(base=base))


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), sys.argv[2])

"""Installs the guest in an image, so that a new box does not have to compile it.

    python -m app.runtime.docker.image FOLDER BASE      (scripts/workspace-image)

writes into FOLDER what `docker build` needs to add the package `guest` to the image BASE, in a folder that is
named by the digest of its source. It is an optimization only: every container also gets the source, and
compiles it if the image has another guest or none.
"""

import sys
from pathlib import Path

from app.runtime.guest.boot import INSTALLED
from app.runtime.packing import guest_digest, guest_modules

DOCKERFILE = f"""\
FROM {{base}}
USER 0:0
COPY guest {INSTALLED}/{guest_digest()}/guest
RUN python3 -m compileall -q {INSTALLED}
USER 1000:1000
LABEL boardroom.guest={guest_digest()}
"""


def lay_out(folder: Path, base: str) -> None:
    """Write the build context into `folder`; `base` is the image to build on."""
    package = folder / "guest"
    package.mkdir()
    for name, source in guest_modules().items():
        module = name.partition(".")[2] or "__init__"
        package.joinpath(f"{module}.py").write_text(source)
    folder.joinpath("Dockerfile").write_text(DOCKERFILE.format(base=base))


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), sys.argv[2])

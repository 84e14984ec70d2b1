"""The module `boardroom_checks` for the commands of checks, as an archive that Python imports from.

A command gets it in a sealed file in memory, at a descriptor that is on its import path (see
`guest.process.start`). So nothing in the box can change or replace it, and it lies in no folder.
"""

import base64
import io
import zipfile
from functools import cache
from pathlib import Path

from app.runtime.guest import boardroom_checks

NAME = "boardroom_checks.py"
_SOURCE = Path(boardroom_checks.__file__).read_text("utf-8")


@cache
def check_helper() -> str:
    """The archive as Base64."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo(NAME), _SOURCE, zipfile.ZIP_DEFLATED)
    return base64.b64encode(made.getvalue()).decode()

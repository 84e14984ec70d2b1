"""Asks the guest which files of a commit would be imported instead of modules of others. See decision 35."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from app.domain.values import clean
from app.runtime import answers
from app.runtime.channel import Channel
from app.runtime.checker import AROUND_S, manifest_of
from app.runtime.guest.frames import Violation
from app.runtime.leave import Leave
from app.runtime.workspace import Hidden

MAX_BYTES = 128 * 1024
_SAID = {
    "own": "{path} would be imported instead of Python's own module {name}, also by what runs the tests. "
    "Give it another name.",
    "installed": "{path} would be imported instead of the installed package {name}, also by what runs the "
    "tests. Give it another name.",
    "environment": "{path} lies in a folder of installed packages. The install step makes these, they are "
    "not committed: delete it, and have .gitignore leave the folder out.",
}
_Text = Annotated[str, Field(max_length=5000)]
_FOUND: TypeAdapter[list[tuple[_Text, _Text, Literal["own", "installed", "environment"]]]] = TypeAdapter(
    Annotated[list[tuple[_Text, _Text, Literal["own", "installed", "environment"]]], Field(max_length=20)]
)


async def find_hidden(
    channel: Channel, base: str, commit: str, leave: Leave | None, *, installed: bool
) -> list[Hidden]:
    """What `commit` has and `base` had not. With `installed` what the install step of `commit` makes is
    looked at; without an install step that is nothing. Raises BoxDied, FenceLost, RuntimeProblem."""
    manifest, _ = await manifest_of(channel, commit) if installed else (None, "")
    install = manifest.install if manifest else ""
    if installed and not install:
        return []
    gate = leave if install else None
    _, data = await channel.ask(
        answers.Done,
        "find_hiding",
        base=base,
        commit=commit,
        install=install,
        first=gate,
        gated=gate is not None,
        bytes_limit=MAX_BYTES,
        deadline_s=AROUND_S,
    )
    with channel.believing():
        try:
            found = _FOUND.validate_json(data)
        except ValidationError as error:
            raise Violation("a list of hiding files is none") from error
    return [
        Hidden(clean(path), clean(_SAID[kind].format(path=f"`{path}`", name=f"`{name}`")))
        for path, name, kind in found
    ]

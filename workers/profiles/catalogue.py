"""Profiles: read once from their folders. A new one is a folder with `profile.toml` and `scaffold/`."""

import tomllib
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from app.domain.ticket import CommandCheck
from app.domain.workspace import MANIFEST_NAME, Manifest

FOLDER = Path(__file__).parent
HOUSE_STYLE = "python-stdlib"
"""Every box can serve it, and an app that says nothing else is one."""

INSTALLS = (
    "What else is needed, and nothing that is not, the manifest's `install` line may download (such as "
    "`npm install`, or `pip install --target lib -r requirements.txt`), in exact versions, below /app and "
    "kept out of the repository by `.gitignore`: there is a network for it. It "
    "runs before the app starts, by `start_app` too, and once for the checks of each commit."
)


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfileCheck(_Shape):
    """A shell line that has to succeed on every commit; `promise` says so in a sentence."""

    name: str = Field(pattern=r"^[a-z-]+$")
    promise: str
    run: str
    timeout_s: int = 60

    def as_check(self) -> CommandCheck:
        return CommandCheck(
            id=f"profile.{self.name}", criterion=0, run=self.run.strip(), timeout_s=self.timeout_s
        )


class Profile(_Shape):
    """`when` tells the executives when to choose it, `notes` the others what the box holds and how such an
    app is laid out. `needs` is a shell line that succeeds in a box that can serve it; "" if every box can.
    `scaffold` is what an app begins as, by path relative to /app: it starts, answers and passes `checks`."""

    name: str
    title: str
    when: str
    notes: str
    needs: str = ""
    ignore: list[str]
    manifest: Manifest
    checks: list[ProfileCheck]
    scaffold: dict[str, bytes]

    def stack(self, *, installs: bool) -> str:
        """What those who plan and build have to know of it; `installs`: an install step has a network."""
        lines = [f"- {check.promise}: `{_one_line(check.run)}`" for check in self.checks]
        more = f"\n\n{INSTALLS}" if installs else ""
        return (
            f"{self.notes.strip()}{more}\n\nBeside a ticket's own checks these run with every ticket:\n"
            + "\n".join(lines)
        )


def _one_line(run: str) -> str:
    first, *rest = run.strip().splitlines()
    return f"{first} …" if rest else first


def _read(folder: Path) -> Profile:
    told = tomllib.loads((folder / "profile.toml").read_text("utf-8"))
    manifest = Manifest(profile=folder.name, **told.pop("manifest"))
    files = [path for path in sorted((folder / "scaffold").rglob("*")) if path.is_file()]
    scaffold = {path.relative_to(folder / "scaffold").as_posix(): path.read_bytes() for path in files}
    if told["ignore"]:
        scaffold[".gitignore"] = "".join(f"{line}\n" for line in told["ignore"]).encode()
    # The manifest is last: where it is, the rest is too.
    scaffold[MANIFEST_NAME] = f"{manifest.model_dump_json(indent=2)}\n".encode()
    return Profile(name=folder.name, manifest=manifest, scaffold=scaffold, **told)


PROFILES = MappingProxyType(
    {path.parent.name: _read(path.parent) for path in sorted(FOLDER.glob("*/profile.toml"))}
)


def find(name: str) -> Profile:
    """The profile of an app; one that is not there any more counts as the house style."""
    return PROFILES.get(name, PROFILES[HOUSE_STYLE])

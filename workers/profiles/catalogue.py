"""Profiles, the kinds of apps. A profile is a folder with `profile.toml` and `scaffold/`."""

import tomllib
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from app.domain.ticket import CommandCheck
from app.domain.workspace import MANIFEST_NAME, Manifest

FOLDER = Path(__file__).parent
HOUSE_STYLE = "python-stdlib"
"""The default profile. Every box can run it."""

INSTALLS = (
    "What else is needed, and nothing that is not, the manifest's `install` line may download (such as "
    "`npm install`, or `pip install --target lib -r requirements.txt`), in exact versions, below /app and "
    "kept out of the repository by `.gitignore`: there is a network for it. It "
    "runs before the app starts, by `start_app` too, and once for the checks of each commit."
)


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProfileCheck(_Shape):
    """A shell command that must succeed on every commit; `promise` says in a sentence what that means."""

    name: str = Field(pattern=r"^[a-z-]+$")
    promise: str
    run: str
    timeout_s: int = 60

    def as_check(self) -> CommandCheck:
        return CommandCheck(
            id=f"profile.{self.name}", criterion=0, run=self.run.strip(), timeout_s=self.timeout_s
        )


class Profile(_Shape):
    """`when` tells the executives when to choose it; `notes` tell the other agents what the box has and how
    such an app is laid out. `needs` is a shell command that succeeds in a box that can run such an app; "" if
    every box can. `scaffold` are the first files of an app, by path relative to /app: with them it starts,
    answers and passes `checks`."""

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
        """What the Project Manager and the Builder are told about it. `installs`: the install step has a
        network."""
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
    # The manifest is written last: if it is there, everything else is.
    scaffold[MANIFEST_NAME] = f"{manifest.model_dump_json(indent=2)}\n".encode()
    return Profile(name=folder.name, manifest=manifest, scaffold=scaffold, **told)


PROFILES = MappingProxyType(
    {path.parent.name: _read(path.parent) for path in sorted(FOLDER.glob("*/profile.toml"))}
)


def find(name: str) -> Profile:
    """The profile of that name; the default profile if there is none."""
    return PROFILES.get(name, PROFILES[HOUSE_STYLE])

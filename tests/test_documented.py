"""The documentation lists exactly the settings and commands that exist."""

import re
from pathlib import Path

from typer.main import get_command

from app.cli import cli
from app.settings import Settings

ROOT = Path(__file__).parent.parent


def test_every_setting_is_in_the_example_and_nothing_else_is() -> None:
    example = (ROOT / ".env.example").read_text()
    shown = set(re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE))
    roles = example.partition("# MODEL_BUILDER=")[2].partition("# MODEL_STRONG=")[0]
    shown |= {f"MODEL{role}" for role in re.findall(r"(?<![A-Z])_[A-Z_]+|(?<=MODEL)_[A-Z_]+", roles)}
    assert shown == {name.upper() for name in Settings.model_fields}


def test_every_command_is_in_the_docs_and_nothing_else_is() -> None:
    told = re.findall(r"^\| `([a-z ]+[a-z])", (ROOT / "docs/commands.md").read_text(), re.MULTILINE)
    commands = dict(get_command(cli).commands)  # type: ignore[attr-defined]
    groups = {name: commands.pop(name).commands for name in ("user", "model")}
    inner = [f"{group} {name}" for group, names in groups.items() for name in names]
    assert sorted(told) == sorted([*commands, *inner])

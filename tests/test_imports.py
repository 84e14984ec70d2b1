"""What the modules of tests and benchmarks import of each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent


def imported(path: Path) -> Iterator[str]:
    """The modules of tests that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tests"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaks_the_rule(path: Path, name: str) -> bool:
    """Shared is what stands in `tests.helpers`. Beside that a file may import what stands in its own folder
    and is no test."""
    *folders, last = _until_a_file(name)
    return last.startswith("test_") or ROOT.joinpath(*folders) not in (path.parent, TESTS / "helpers")


def _until_a_file(name: str) -> list[str]:
    """The folders of a name, and the first of its words that is none."""
    words = name.split(".")
    for count in range(1, len(words)):
        if not ROOT.joinpath(*words[:count]).is_dir():
            return words[:count]
    return words


def test_only_helpers_are_imported_from_other_folders() -> None:
    files = [*TESTS.rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported(path)
        if breaks_the_rule(path, name)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rule_sees_what_it_forbids() -> None:
    file = TESTS / "api" / "test_jobs.py"
    allowed = ("tests.helpers.house.House", "tests.api.conftest.Person", "tests.api.connections.rest")
    forbidden = (
        "tests.api.test_access.OPEN",
        "tests.sockets.conftest.Web",
        "tests.conftest.Parts",
        "tests.llm.server",
    )
    assert not [name for name in allowed if breaks_the_rule(file, name)]
    assert [name for name in forbidden if not breaks_the_rule(file, name)] == []

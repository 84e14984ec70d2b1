"""A function takes one of two handles to the database, and its name says which."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANDLES = {"AsyncSession": "session", "Statements": "statements"}


def arguments() -> Iterator[tuple[str, str, str]]:
    """File, type and name of each argument of a function."""
    for folder in ("app", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.arg) and node.annotation is not None:
                    yield path.name, ast.unparse(node.annotation), node.arg


def test_functions_take_rows_or_statements() -> None:
    found = list(arguments())
    kinds = Counter(kind for _, kind, _ in found if kind in HANDLES)
    assert min(kinds[kind] for kind in HANDLES) > 30
    assert [item for item in found if item[2] != HANDLES.get(item[1], item[2])] == []
    assert [item for item in found if item[1] == "AsyncConnection"] == []

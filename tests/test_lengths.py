"""No file is longer than 350 lines: one that grows over it is split by subject."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST = 350
FOLDERS = ("app", "workers", "migrations", "bench", "scripts", "tests")


def test_no_file_is_longer_than_350_lines() -> None:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}
    assert len(lengths) > 300
    assert {name: length for name, length in lengths.items() if length > MOST} == {}

"""The lock of a DATA_DIR, and the files in it."""

from pathlib import Path

import pytest

from app.embedded.datadir import DataDir, Running
from app.embedded.errors import AlreadyRunning, StackProblem


def test_only_one_process_may_use_it_and_others_are_told_which(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "data")
    assert home.running() is None
    with home.locked():
        home.note(Running(pid=4711, url="http://127.0.0.1:8123"))
        assert DataDir(home.path).running() == Running(pid=4711, url="http://127.0.0.1:8123")
        with (
            pytest.raises(AlreadyRunning, match=r"http://127\.0\.0\.1:8123 \(process 4711"),
            DataDir(home.path).locked(),
        ):
            raise AssertionError("two in one folder")
    assert home.running() is None
    with DataDir(home.path).locked():
        pass


def test_secrets_are_private_and_stay(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "data")
    secret = home.secret("secret.key")
    assert len(secret) == 43
    assert DataDir(home.path).secret("secret.key") == secret
    assert home.secret("another") != secret
    assert (home.path / "secret.key").stat().st_mode & 0o777 == 0o600
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_things_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "theirs").touch()
    DataDir(shared)
    assert shared.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("note", ["", "no json", "[]", '{"unknown": 1}'])
def test_a_broken_note_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / "run.json").write_text(note)
    assert DataDir(tmp_path).last() == Running()


def test_a_data_dir_that_is_no_folder_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackProblem, match="Set DATA_DIR"):
        DataDir(tmp_path / "file" / "data")

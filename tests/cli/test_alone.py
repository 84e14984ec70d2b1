"""Commands for which nothing has to run."""

import json

from app.settings import MIN_SECRET_CHARS
from tests.cli.conftest import Boardroom


def test_openapi_is_json(boardroom: Boardroom) -> None:
    said = boardroom("openapi")
    assert "/api/jobs/" in json.loads(said.stdout)["paths"]


def test_what_needs_a_database_says_so(boardroom: Boardroom) -> None:
    for words in (("migrate",), ("worker",), ("user", "add", "ada@example.org")):
        said = boardroom(*words, stdin="correct horse battery\n")
        assert said.returncode == 2, words
        assert "start `boardroom up` first" in said.stderr


def test_a_bad_user_is_refused(boardroom: Boardroom) -> None:
    assert "email" in boardroom("user", "add", "ada", stdin="correct horse battery\n").stderr
    assert "8 to 128" in boardroom("user", "passwd", "ada@example.org", stdin="short\n").stderr


def test_bad_settings_are_named(boardroom: Boardroom) -> None:
    assert "PORT" in boardroom("up", PORT="many").stderr
    weak = boardroom("up", ENVIRONMENT="production", SECRET_KEY="weak")
    assert weak.returncode == 2
    assert str(MIN_SECRET_CHARS) in weak.stderr
    assert "weak" not in weak.stderr


def test_an_absent_job_cannot_be_opened(boardroom: Boardroom) -> None:
    said = boardroom("open", "0199a1f2-1111-7000-8000-000000000002")
    assert said.returncode == 2
    assert "no workspace" in said.stderr


def test_doctor_names_what_is_missing(boardroom: Boardroom) -> None:
    said = boardroom("doctor", DATABASE_URL="postgresql://127.0.0.1:1/x", POSTGRES_BIN="/nowhere")
    assert said.returncode == 1
    assert "PostgreSQL: NOT WORKING, 127.0.0.1:1 does not answer" in said.stdout
    assert "check DATABASE_URL" in said.stdout

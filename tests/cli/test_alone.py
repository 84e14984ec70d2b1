"""Commands that need no running service."""

import json
import signal
import subprocess
import sys

from app.settings import MIN_SECRET_CHARS
from tests.cli.conftest import Boardroom


def test_openapi_is_json(boardroom: Boardroom) -> None:
    said = boardroom("openapi")
    assert "/api/jobs/" in json.loads(said.stdout)["paths"]


INTERRUPTED = """
import os, signal, sys
import app.entry

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job would ignore

class Finder:
    def find_spec(self, name, *_):
        if name == "app.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
app.entry.main()
"""


def test_a_ctrl_c_while_it_is_loaded_ends_it_without_a_word() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_commands_that_need_a_database_say_so(boardroom: Boardroom) -> None:
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
    assert weak.stderr.startswith("SECRET_KEY must hold")
    folder = boardroom("up", DATA_DIR="/proc/none")
    assert folder.stderr == (
        "DATA_DIR cannot be used: /proc/none: No such file or directory. "
        "Set DATA_DIR to a folder of your own.\n"
    )


def test_an_absent_job_cannot_be_opened(boardroom: Boardroom) -> None:
    said = boardroom("open", "0199a1f2-1111-7000-8000-000000000002")
    assert said.returncode == 2
    assert said.stderr == "The job's box cannot be used: this job has no workspace yet.\n"


def test_doctor_names_what_is_missing(boardroom: Boardroom) -> None:
    said = boardroom("doctor", DATABASE_URL="postgresql://127.0.0.1:1/x", POSTGRES_BIN="/nowhere")
    assert said.returncode == 1
    assert "PostgreSQL: NOT WORKING, PostgreSQL at 127.0.0.1:1 cannot be used: " in said.stdout
    assert "Check DATABASE_URL" in said.stdout


def test_a_database_that_cannot_be_used_is_one_sentence(boardroom: Boardroom) -> None:
    away = {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    for word in ("up", "migrate"):
        said = boardroom(word, **away)
        assert (said.returncode, said.stderr.count("\n")) == (2, 1)
        assert said.stderr.startswith("PostgreSQL at 127.0.0.1:1 cannot be used: ")
    for word in ("up", "migrate", "api", "worker", "doctor"):
        said = boardroom(word, **{**away, "DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/x?sslmod=a"})
        assert (said.returncode, said.stderr.count("\n")) == (2, 1)
        assert "'sslmod' is no word that PostgreSQL knows" in said.stderr
        assert "secret" not in said.stderr


def test_doctor_says_what_a_building_job_may_use(boardroom: Boardroom) -> None:
    said = boardroom("doctor", WORKERS="3", WORKER_SLOTS="4", WORKSPACES_MAX="10", WORKSPACE_RUNTIME="local")
    assert (
        "a building job: may use 16.6 GiB of memory, 2560 processes and 10.0 GiB of disk in up to 5 boxes; "
        "WORKERS=3 build 10 jobs at a time\n" in said.stdout
    )


def test_doctor_says_whom_apps_and_proxies_may_harm(boardroom: Boardroom) -> None:
    usual = boardroom("doctor").stdout
    assert "previews:" not in usual
    assert "clients: X-" not in usual
    shared = boardroom("doctor", PREVIEW_ORIGIN="https://{token}.apps.example.net").stdout
    assert "previews: browsers take all apps below apps.example.net as one site" in shared
    assert "Public Suffix List" in shared
    production = {"ENVIRONMENT": "production", "SECRET_KEY": "0123456789abcdefghijklmnopqrstuv"}
    assert "clients: X-Forwarded-For and -Proto count for nobody" in boardroom("doctor", **production).stdout
    everybody = boardroom("doctor", **production, FORWARDED_ALLOW_IPS="*").stdout
    assert "clients: X-Forwarded-For counts for everybody" in everybody
    named = boardroom("doctor", **production, FORWARDED_ALLOW_IPS="10.0.0.0/8").stdout
    assert "clients: X-" not in named
    wrong = boardroom("doctor", FORWARDED_ALLOW_IPS="proxy.example")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "FORWARDED_ALLOW_IPS: must list addresses" in wrong.stderr


def test_doctor_says_what_a_model_needs(boardroom: Boardroom) -> None:
    for model, words in (
        ("openai:x", "openai:x needs OPENAI_API_KEY or OPENAI_BASE_URL"),
        ("anthropic:x", "anthropic:x needs ANTHROPIC_API_KEY"),
        ("gpt", "gpt is not known"),
    ):
        said = boardroom("doctor", MODEL=model)
        assert (said.returncode, f"model: NOT WORKING, {words}\n" in said.stdout) == (1, True)
        assert "then boardroom model check says whether it works" in said.stdout
    assert "model: openai:x\n" in boardroom("doctor", MODEL="openai:x", OPENAI_API_KEY="k").stdout


def test_a_worker_without_a_model_names_the_check(boardroom: Boardroom) -> None:
    there = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    said = boardroom("worker", MODEL="openai:x", **there)
    assert said.returncode == 2
    assert said.stderr.startswith("The worker cannot start: openai:x needs OPENAI_API_KEY")
    assert said.stderr.endswith("`boardroom model check` says what works.\n")


def test_there_is_nothing_to_check_of_a_rehearsal(boardroom: Boardroom) -> None:
    said = boardroom("model", "check", "rehearsal", "--yes")
    assert (said.returncode, said.stderr) == (
        2,
        "MODEL=rehearsal is no language model, so there is nothing to ask.\n",
    )


def test_doctor_says_which_proxy_leads_to_the_model(boardroom: Boardroom) -> None:
    office = {"MODEL": "openai:x", "OPENAI_API_KEY": "k", "HTTPS_PROXY": "socks5://me:secret@office.example"}
    said = boardroom("doctor", **office).stdout
    assert "proxy: api.openai.com is asked through socks5://office.example\n" in said
    assert (
        "proxy: NOT WORKING, HTTPS_PROXY names"
        in boardroom("doctor", **{**office, "HTTPS_PROXY": "ftp://a"}).stdout
    )
    assert "proxy:" not in boardroom("doctor", **office, OPENAI_BASE_URL="http://localhost:1/v1").stdout

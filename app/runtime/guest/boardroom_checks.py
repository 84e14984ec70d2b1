"""For `command` checks: starts the app of the checkout, and talks to it as a browser would.

    from boardroom_checks import started

    with started() as app:
        app.log_in("/login", name="ada", password="secret")
        assert app.post("/notes", form={"text": "milk"}).status == 303
        assert "milk" in app.get("/notes").text

It is no part of the app: it is there while a check's command runs, and nowhere else.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

START_S, ANSWER_S, GONE_S, POLL_S = 20.0, 20.0, 5.0, 0.05


class Answer:
    """`status`, `headers` (names in small letters), `text`, and `json()`."""

    def __init__(self, status: int, headers: Mapping[str, str], text: str) -> None:
        self.status, self.headers, self.text = status, headers, text

    def json(self) -> Any:
        return json.loads(self.text)

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:300]!r}>"


class Visitor:
    """Somebody who uses the app, with cookies of their own. Redirects are not followed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def visitor(self) -> "Visitor":
        """Somebody else."""
        return Visitor(self.port)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, *, form: Any = None, json: Any = None, **headers: str) -> Answer:
        return self.request("POST", path, form=form, json=json, headers=headers)

    def log_in(self, path: str, **fields: str) -> Answer:
        """Open the form at `path`, and send it with what it holds already (such as a token) and `fields`."""
        return self.post(path, form={**_held_by(self.get(path).text), **fields})

    def request(
        self, method: str, path: str, *, form: Any = None, json: Any = None, headers: Any = None
    ) -> Answer:
        """`form` is sent as the fields of a form, `json` as JSON. Raises OSError if nothing answers."""
        sent, body = {"Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())}, None
        if form is not None:
            sent["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(form).encode()
        elif json is not None:
            sent["Content-Type"], body = "application/json", _dumped(json)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        with contextlib.closing(connection):
            connection.request(
                method, path, body, {k: v for k, v in {**sent, **(headers or {})}.items() if v}
            )
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        for line in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if not morsel.value or morsel["max-age"] == "0":
                    del self.cookies[name]
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, text)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@contextlib.contextmanager
def started() -> Iterator[Visitor]:
    """The app, started as boardroom.json says, with its first visitor. It is ended afterwards. Raises
    RuntimeError if it does not answer, or if something still listens at its port when it was ended."""
    with open("boardroom.json", encoding="utf-8") as file:
        manifest = json.load(file)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    port = int(os.environ["PORT"])
    app = subprocess.Popen(["/bin/sh", "-c", manifest["start"]], env=env, start_new_session=True)
    try:
        visitor = Visitor(port)
        end = time.monotonic() + START_S
        while not _answers(visitor, manifest.get("health", "/")):
            if app.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the app does not answer")
            time.sleep(POLL_S)
        yield Visitor(port)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(app.pid, signal.SIGKILL)
        app.wait()
        _see_it_gone(port)


def _see_it_gone(port: int) -> None:
    """Wait until nothing listens at the port. A daemon of a session of its own outlives its group: what it
    holds in memory would pass for stored when the app is started again."""
    end = time.monotonic() + GONE_S
    while _listens(port):
        if time.monotonic() > end:
            raise RuntimeError(
                f"the app was ended, and a process of it still listens at port {port}: it has left the "
                "process group of its start line (setsid, a daemon), which an app may not"
            )
        time.sleep(POLL_S)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(GONE_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(visitor: Visitor, health: str) -> bool:
    try:
        return visitor.get(health).status < 500
    except (OSError, http.client.HTTPException):
        return False


def _held_by(page: str) -> dict[str, str]:
    """The named inputs of a page's forms, with their values."""
    found: dict[str, str] = {}

    class Inputs(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            has = {name: value or "" for name, value in attrs}
            if tag == "input" and has.get("name"):
                found[has["name"]] = has.get("value", "")

    Inputs().feed(page)
    return found

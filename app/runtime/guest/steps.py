"""Makes the requests of an `http` check, one after the other. The host judges the answers."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from .frames import Json
from .web import MAX_BODY, Answer, Jar, request

ANSWER_S, ALL_S, FIND_S = 20.0, 60.0, 5.0
MAX_VALUE = 4000
"""Characters of a value that is taken from an answer."""

NAMED = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]{0,39})\}\}")
SAFE = "/?:@&=+$,;%~!*'()#[]"
"""What a value that is a whole path or address may have and stays as it is."""

Run = Callable[[list[str], float], Awaitable[tuple[int | None, bytes]]]
"""Runs a command, given argv and a deadline in seconds: (exit code, output)."""

FIND = """
import base64, re, sys
from html.parser import HTMLParser
source, at, text = sys.argv[1], sys.argv[2], base64.b64decode(sys.argv[3]).decode(errors="replace")
found = []
class Fields(HTMLParser):
    inside = ""
    def handle_starttag(self, tag, attributes):
        has = {name: value or "" for name, value in attributes}
        if tag == "option" and self.inside == "select" and (not self.first or "selected" in has):
            self.first = [has.get("value", "")]
        if has.get("name") != at:
            return
        if tag in ("input", "meta"):
            found.append(has.get("value" if tag == "input" else "content", ""))
        if tag in ("select", "textarea"):
            self.inside, self.first = tag, []
    def handle_data(self, data):
        if self.inside == "textarea":
            self.first.append(data)
    def handle_endtag(self, tag):
        if tag == self.inside:
            found.append("".join(self.first))
            self.inside = ""
if source == "field":
    Fields().feed(text)
elif (match := re.search(at, text)) and match[1] is not None:
    found.append(match[1])
if not found:
    sys.exit(3)
sys.stdout.buffer.write(found[0].encode(errors="replace"))
"""
"""Looks in a page for a field or a pattern. It is a process of its own, so that one that takes for ever can
be ended."""


class Unfit(Exception):
    """A request cannot be made, or a value cannot be taken. The message says why."""


@dataclass
class Visit:
    """The answers so far, in the order of the requests, the values that were taken from each, and why the
    next request was not made; "" if all were."""

    answers: list[Answer] = field(default_factory=list)
    taken: list[Json] = field(default_factory=list)
    problem: str = ""


async def play(port: int, requests: Sequence[Json], run: Run) -> Visit:
    """Make the requests (shapes: `app.domain.http_steps`), until one has no answer or an unexpected status,
    or a value is missing. `run` runs a command in the box."""
    visit, jars, known = Visit(), dict[str, Jar](), dict[str, Any]()
    end = time.monotonic() + ALL_S
    for asked in requests:
        jar = jars.setdefault(asked.get("visitor", ""), Jar())
        try:
            if (left := end - time.monotonic()) <= 0:
                raise Unfit(f"the requests before it took more than {ALL_S:.0f} s")
            answer = await _ask(port, asked, known, jar, min(ANSWER_S, left))
            jar.take(answer)
            visit.answers.append(answer)
            visit.taken.append({})
            if not answer.status or not expected(asked.get("expect_status"), answer.status):
                break
            for take in asked.get("take", ()):
                visit.taken[-1][take["name"]] = known[take["name"]] = await _take(take, answer, run)
        except Unfit as problem:
            visit.problem = str(problem)
            break
        except UnicodeError:
            visit.problem = "it would hold half a character, which cannot be sent"
            break
        await asyncio.sleep(0)
    return visit


def expected(wanted: int | None, status: int) -> bool:
    return 200 <= status < 400 if wanted is None else status == wanted


def filled(value: Any, known: Mapping[str, Any]) -> Any:
    """A text or JSON value in which each `{{name}}` is the value of that name. A text that is nothing else
    becomes the value itself, also a number."""
    if isinstance(value, str):
        whole = NAMED.fullmatch(value)
        return known[whole[1]] if whole and whole[1] in known else in_text(value, known)
    if isinstance(value, dict):
        return {key: filled(inner, known) for key, inner in value.items()}
    return [filled(inner, known) for inner in value] if isinstance(value, list) else value


def in_text(text: str, known: Mapping[str, Any]) -> str:
    return NAMED.sub(lambda found: _as_text(known.get(found[1], found[0])), text)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _path(path: str, known: Mapping[str, Any]) -> str:
    """The path with its values. One at the beginning may be a whole path or an address of the app."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in known:
            return found[0]
        return quote(_as_text(known[found[1]]), safe="" if found.start() else SAFE)

    made = NAMED.sub(value, path)
    if made.startswith(("http://", "https://")):
        parts = urlsplit(made)
        made = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not made.startswith("/"):
        raise Unfit(f"its path would be {made[:200]!r}, which does not begin with /")
    return made


async def _ask(port: int, asked: Json, known: Mapping[str, Any], jar: Jar, timeout_s: float) -> Answer:
    headers = {"Cookie": jar.header} if jar.header else {}
    body: bytes | None = None
    if asked.get("files"):
        kind, body = _multipart(asked, known)
        headers["Content-Type"] = kind
    elif asked.get("form") is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode({name: in_text(value, known) for name, value in asked["form"].items()}).encode()
    elif asked.get("body") is not None:
        body = json.dumps(filled(asked["body"], known)).encode()
    if body is not None:
        headers["Content-Length"] = str(len(body))
    for line in asked.get("headers", ()):
        name, _, value = in_text(line, known).partition(":")
        if not value.isprintable() or not value.isascii():
            raise Unfit(f"the header {name} would hold a character that no header may")
        headers = {other: said for other, said in headers.items() if other.lower() != name.lower()}
        headers[name] = value.strip()
    return await request(port, asked["method"], _path(asked["path"], known), body, timeout_s, headers)


def _multipart(asked: Json, known: Mapping[str, Any]) -> tuple[str, bytes]:
    """The content type and the body of a form with files."""
    boundary = "boardroom-4f1d7a60c2b84e93"
    parts = []

    def add(about: str, content: bytes) -> None:
        parts.append(f"--{boundary}\r\nContent-Disposition: form-data; {about}\r\n\r\n".encode())
        parts.append(content + b"\r\n")

    for name, value in (asked.get("form") or {}).items():
        add(f'name="{_quoted(name)}"', in_text(value, known).encode())
    for file in asked["files"]:
        content = file["content"]
        data = base64.b64decode(content) if file.get("base64") else in_text(content, known).encode()
        about = f'name="{_quoted(file["field"])}"; filename="{_quoted(file["filename"])}"'
        add(f"{about}\r\nContent-Type: {file['type']}", data)
    return f"multipart/form-data; boundary={boundary}", b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _quoted(name: str) -> str:
    """As browsers write names (https://html.spec.whatwg.org/#multipart-form-data)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


async def _take(take: Json, answer: Answer, run: Run) -> Any:
    where, at = take["source"], take["at"]
    if where == "json":
        value = _in_json(answer.body, at)
    elif where == "header":
        found = [value for name, value in answer.headers if name == at.lower()]
        value = found[0] if found else None
    else:
        text = base64.b64encode(answer.body[:MAX_BODY]).decode()
        code, output = await run(["python3", "-I", "-c", FIND, where, at, text], FIND_S)
        if code not in (0, 3):
            raise Unfit(f"{take['name']}: it could not be looked for within {FIND_S:.0f} s")
        value = output.decode(errors="replace") if code == 0 else None
    # An empty text is found in every answer, so nothing could be expected with it.
    if value is None or isinstance(value, list | dict) or not _as_text(value).strip():
        raise Unfit(f"{take['name']}: the answer has no such value ({where} {at})")
    if len(_as_text(value)) > MAX_VALUE:
        raise Unfit(f"{take['name']}: the value has more than {MAX_VALUE} characters")
    if not _is_whole(_as_text(value)):
        raise Unfit(f"{take['name']}: the value holds half a character ({where} {at})")
    return value


def _is_whole(text: str) -> bool:
    """Whether a text has no half characters: JSON may name one as `\\ud83d`, and no UTF-8 can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_json(body: bytes, at: str) -> Any:
    """The value at a path such as `items.0.id`; None if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for key in re.sub(r"\[(\d+)\]", r".\1", at).removeprefix("$").strip(".").split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and re.fullmatch(r"\d{1,6}", key) and int(key) < len(value):
            value = value[int(key)]
        elif key or isinstance(value, list | dict):
            return None
    return value

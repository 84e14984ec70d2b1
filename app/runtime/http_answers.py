"""Judges the answers to the requests of an `http` check, and says what was seen."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter, ValidationError

from app.domain.http_steps import HttpRequest, HttpStep
from app.domain.ticket import HttpCheck
from app.domain.values import clean, clip
from app.runtime.answers import AboutAnswer, CheckedHttp, holds
from app.runtime.guest.frames import Violation
from app.runtime.guest.steps import expected, filled, in_text
from app.runtime.guest.web import MAX_BODY

SHOWN_BODY, SHOWN_PART = 1500, 200
"""Characters of the last answer, and of what an answer lacks, in a result."""

_ABOUT: TypeAdapter[list[AboutAnswer]] = TypeAdapter(list[AboutAnswer])


@dataclass(frozen=True)
class Found:
    """An answer of the app: status 0 if it gave none; `headers` are lines `name: value`; `taken` the values
    that were taken from it; `cut` says that `body` is only its beginning."""

    status: int
    headers: Sequence[str]
    body: str
    taken: dict[str, JsonValue]
    cut: bool = False


def read(done: CheckedHttp, data: bytes) -> tuple[list[Found], str]:
    """The answers and the app's log, from what the guest says and sends. Raises Violation."""
    bodies, place = [], 0
    for size in done.sizes:
        bodies.append(clean(data[place : place + size].decode(errors="replace")))
        place += size
    end = place + done.about
    try:
        about = _ABOUT.validate_json(data[place:end]) if done.about else []
    except ValidationError as error:
        raise Violation("the answers of a check are none") from error
    if not len(bodies) == len(done.statuses) == len(about):
        raise Violation("the answers of a check do not match")
    answers = [
        Found(status, [clean(line) for line in more.headers], body, more.taken, more.cut)
        for status, body, more in zip(done.statuses, bodies, about, strict=True)
    ]
    return answers, clean(data[end:].decode(errors="replace"))


def judge(check: HttpCheck, answers: Sequence[Found], problem: str) -> tuple[bool, str]:
    """Whether all requests were answered as the check expects, and what was seen: a line for each request,
    then the last answer and why it is not as it should be. `problem` is why a request could not be made, or a
    value not taken."""
    requests = check.requests
    known: dict[str, JsonValue] = {}
    seen, wrong, last = [], "", ""
    for number, (asked, answer) in enumerate(zip(requests, answers, strict=False), 1):
        wrong, last = _wrong(asked, asked.expect_status, answer, known), answer.body
        where = next((f" ({line})" for line in answer.headers if line.startswith("location:")), "")
        where += f" (cut after {MAX_BODY} bytes)" if answer.cut else ""
        count = f"{number}. " if check.steps else ""
        seen.append(f"{count}{asked.method} {asked.path} → {answer.status or 'no answer'}{where}")
        if wrong:
            break
        known |= answer.taken
    at = len(seen)
    if not wrong and problem:
        at = min(at + (not answers or _took_all(requests[at - 1], answers[at - 1])), len(requests))
        wrong = problem
    elif not wrong and at < len(requests):
        wrong = "it was not made"
        at += 1
    if wrong and check.steps:
        wrong = f"Request {at} of {len(requests)} failed: {wrong}"
    return not wrong, "\n".join([*seen, clip(last, SHOWN_BODY), wrong]).strip()


def _took_all(asked: HttpRequest, answer: Found) -> bool:
    return not isinstance(asked, HttpStep) or all(take.name in answer.taken for take in asked.take)


def _wrong(asked: HttpRequest, status: int | None, answer: Found, known: dict[str, JsonValue]) -> str:
    """How the answer differs from what is expected; "" if it does not. `known` are the values that requests
    before it have taken."""
    if not answer.status:
        return "the app gave no answer"
    if not expected(status, answer.status):
        return f"the status is {answer.status}, expected was {status or 'one from 200 to 399'}"
    for line in asked.expect_headers:
        name, _, part = in_text(line, known).partition(":")
        mine = f"{name.lower()}:"
        values = [said.partition(":")[2] for said in answer.headers if said.startswith(mine)]
        if not any(part.strip() in value for value in values):
            return f"there is no header {clip(line, SHOWN_PART)}"
    for wanted, text in ((True, asked.expect_text), (False, asked.expect_no_text)):
        if text is not None and ((part := in_text(text, known)) in answer.body) is not wanted:
            return f"the answer {'does not hold' if wanted else 'holds'}: {clip(part, SHOWN_PART)}"
    if answer.cut and asked.expect_no_text is not None:
        part = clip(in_text(asked.expect_no_text, known), SHOWN_PART)
        return f"the answer has more than {MAX_BODY} bytes, so it is not known whether its end holds: {part}"
    return _wrong_json(asked.expect_json, answer.body, known)


def _wrong_json(part: JsonValue, body: str, known: dict[str, JsonValue]) -> str:
    if part is None:
        return ""
    part = filled(part, known)
    try:
        held = holds(json.loads(body), part)
    except (ValueError, RecursionError):
        return "the answer is no JSON"
    return (
        "" if held else f"the JSON does not contain {clip(json.dumps(part, ensure_ascii=False), SHOWN_PART)}"
    )

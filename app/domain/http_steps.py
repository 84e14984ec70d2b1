"""The requests of an `http` check, and the values that one takes from its answer for those after it.

A later request and what it expects name a value as `{{name}}`.
"""

import base64
import binascii
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

MAX_STEPS = 20
MAX_CHECK_BYTES = 48_000
"""Of a whole check as JSON: it travels to the box in one frame."""


def _storable(value: JsonValue) -> JsonValue:
    """The value. Raises ValueError if a number in it cannot be stored."""
    match value:
        case dict():
            for inner in value.values():
                _storable(inner)
        case list():
            for inner in value:
                _storable(inner)
        case int() if not -(2**63) <= value < 2**63:
            raise ValueError("a number is too large")
        case float() if not isfinite(value):
            raise ValueError("a number is not finite")
    return value


StorableJson = Annotated[JsonValue, AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,39}$")]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}:[\x20-\x7e]{0,4000}$")]
"""A line `Name: value`."""

_NAMED = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]{0,39})\}\}")


def _is_empty(value: object) -> bool:
    """So that a check that uses none of the fields is written, and has the digest, as before they came."""
    return not value


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Upload(Part):
    """A file that a form sends. `content` is its text or, with `base64`, its bytes in Base64."""

    field: str = Field(min_length=1, max_length=100)
    filename: str = Field(min_length=1, max_length=200)
    content: str = Field(max_length=30_000)
    base64: bool = False
    type: str = Field(default="text/plain", pattern=r"^[a-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,100}$")

    @property
    def data(self) -> bytes:
        """The bytes of the file. Raises ValueError."""
        if not self.base64:
            return self.content.encode()
        try:
            return base64.b64decode(self.content, validate=True)
        except binascii.Error:
            raise ValueError(f"files: the content of {self.filename} is no Base64") from None


class Take(Part):
    """A value of an answer, kept as `name`. `source` says where: `json` (`at` is a path such as
    `items.0.id`), `header` (its name), `field` (the name of a form field or meta element in the page), or
    `text` (a regular expression, whose first group is taken)."""

    name: Name
    source: Literal["json", "header", "field", "text"]
    at: str = Field(min_length=1, max_length=200)


class HttpRequest(Part):
    """A request to the app. `body` is sent as JSON; `form` as the fields of a form, with `files` as
    multipart. Cookies are kept for each `visitor`; redirects are not followed. What the answer must have:
    `expect_headers` are lines `Name: part of the value`, `expect_text` is in its text and `expect_no_text` is
    not, `expect_json` is contained in its JSON."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(min_length=1, max_length=2000, pattern=r"^(/|\{\{)")
    visitor: str = Field(default="", max_length=40, exclude_if=_is_empty)
    headers: list[Header] = Field(default=[], max_length=20, exclude_if=_is_empty)
    body: StorableJson = None
    form: dict[str, Annotated[str, StringConstraints(max_length=4000)]] | None = Field(
        default=None, max_length=60, exclude_if=lambda value: value is None
    )
    files: list[Upload] = Field(default=[], max_length=5, exclude_if=_is_empty)
    expect_text: str | None = None
    expect_no_text: str | None = Field(
        default=None, min_length=1, max_length=1000, exclude_if=lambda value: value is None
    )
    expect_json: StorableJson = None
    expect_headers: list[Header] = Field(default=[], max_length=20, exclude_if=_is_empty)


class HttpStep(HttpRequest):
    """A request before the last one. Its answer must have `expect_status` or, if that is not said, a status
    from 200 to 399."""

    expect_status: int | None = Field(default=None, ge=100, le=599)
    take: list[Take] = Field(default=[], max_length=10)


def refuse_unfit(requests: Sequence[HttpRequest]) -> None:
    """Raises ValueError for requests that cannot be made one after the other, and says which."""
    known = set[str]()
    for number, request in enumerate(requests, 1):
        which = f"request {number} of {len(requests)}: " if len(requests) > 1 else ""
        if problem := _unfit(request) or (_unknown(request, known) if len(requests) > 1 else ""):
            raise ValueError(which + problem)
        if isinstance(request, HttpStep):
            for take in request.take:
                if take.source == "text" and (problem := bad_pattern(take.at)):
                    raise ValueError(f"{which}take {take.name}: {problem}")
                known.add(take.name)
    size = len(json.dumps([_dumped(request) for request in requests]))
    if size > MAX_CHECK_BYTES:
        raise ValueError(f"a check has at most {MAX_CHECK_BYTES} bytes as JSON, this one has {size}")


def _unfit(request: HttpRequest) -> str:
    sends_form = request.form is not None or bool(request.files)
    if sends_form and request.body is not None:
        return "it has a `body` or a `form` with `files`, not both"
    if sends_form and request.method == "GET":
        return "a `form` is sent by POST, PUT, PATCH or DELETE; of a GET the fields stand in the path"
    for upload in request.files:
        try:
            _ = upload.data
        except ValueError as error:
            return str(error)
    return ""


def _unknown(request: HttpRequest, known: Iterable[str]) -> str:
    used = _NAMED.findall(json.dumps(_dumped(request)))
    unknown = [name for name in used if name not in known]
    return f"`{{{{{unknown[0]}}}}}` is taken from no answer before it" if unknown else ""


def _dumped(request: HttpRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude={"steps"})


def bad_pattern(pattern: str) -> str:
    """Why a regular expression cannot be used; "" if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"`at` is no regular expression: {error}"
    return "" if compiled.groups else "`at` needs a group in parentheses: what is to be taken"

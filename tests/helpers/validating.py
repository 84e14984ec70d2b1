"""Validates every answer of the service against its OpenAPI document.

    httpx.AsyncClient(event_hooks={"response": [Validator(document).hook]})

The status, the body and the error code have to be documented. A key of a body that is not documented is an
error here, although real clients ignore unknown keys.
"""

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

PROBLEM = "application/problem+json"
UNDOCUMENTED = frozenset({404, 405})
"""The statuses that a path or method outside of the document may answer."""


class NotAsDocumented(AssertionError):
    pass


class Validator:
    """`document` is the parsed OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = _closed(document["components"])
        self._routes = sorted(
            ((_pattern(path), path, operations) for path, operations in document["paths"].items()),
            key=lambda route: route[1].count("{"),
        )
        self._checks: dict[tuple[str, str, int], Draft202012Validator] = {}

    async def hook(self, response: httpx.Response) -> None:
        """For `httpx.AsyncClient(event_hooks={"response": [...]})`."""
        await response.aread()
        self.check(response)

    def check(self, response: httpx.Response) -> None:
        """Raises NotAsDocumented."""
        request = response.request
        if request.method == "OPTIONS":
            return
        path, operation = self._operation(request.method, request.url.path)
        what = f"{request.method} {request.url.path} {response.status_code}: {response.text[:500]}"
        if response.is_error and response.headers["content-type"] == PROBLEM:
            _check_problem(response, what)
        if operation is None:
            if response.status_code not in UNDOCUMENTED and request.url.path.startswith("/api/"):
                raise NotAsDocumented(f"no such operation: {what}")
            return
        documented = operation["responses"].get(str(response.status_code))
        if documented is None:
            raise NotAsDocumented(f"a status that is not documented: {what}")
        self._check_body(path, documented, response, what)

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any] | None]:
        plain = path.removesuffix("/")
        for pattern, template, operations in self._routes:
            if pattern.fullmatch(plain) and method.lower() in operations:
                return template, operations[method.lower()]
        return "", None

    def _check_body(self, path: str, documented: dict[str, Any], response: httpx.Response, what: str) -> None:
        contents = documented.get("content", {})
        if not contents:
            if response.content:
                raise NotAsDocumented(f"a body where none is documented: {what}")
            return
        kind = response.headers["content-type"].split(";")[0]
        if kind not in contents:
            raise NotAsDocumented(f"a body of kind {kind}, documented: {list(contents)}: {what}")
        if kind == PROBLEM and response.json()["code"] not in contents[kind]["examples"]:
            raise NotAsDocumented(f"a code that is not documented here: {what}")
        if kind == "application/json":
            key = (response.request.method, path, response.status_code)
            if key not in self._checks:
                schema = {**_closed(contents[kind]["schema"]), "components": self._components}
                self._checks[key] = Draft202012Validator(schema)
            error = best_match(self._checks[key].iter_errors(response.json()))
            if error is not None:
                raise NotAsDocumented(f"{'.'.join(map(str, error.path))}: {error.message}: {what}")


def _check_problem(response: httpx.Response, what: str) -> None:
    problem = response.json()
    keys = {"type", "title", "status", "detail", "code", "request_id"}
    sound = keys <= set(problem) <= {*keys, "errors"} and problem["status"] == response.status_code
    if not sound or problem["request_id"] != response.headers["x-request-id"]:
        replayed = response.headers.get("idempotent-replayed")
        if not (sound and replayed):
            raise NotAsDocumented(f"no sound problem: {what}")
    if response.status_code == 401 and response.headers.get("www-authenticate") != "Bearer":
        raise NotAsDocumented(f"a 401 without WWW-Authenticate: {what}")
    if response.status_code in (429, 503) and not response.headers.get("retry-after", "").isdigit():
        raise NotAsDocumented(f"no Retry-After: {what}")


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template.removesuffix("/"))))


def _closed(schema: Any) -> Any:
    """The schema, in which objects with listed properties allow no others, unless it says so."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed

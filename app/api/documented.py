"""The OpenAPI document: each call with the error codes that it can answer."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.errors import CODES, MEDIA_TYPE, Problem
from app.api.shapes import Shape

Responses = dict[int | str, dict[str, Any]]

SIGNED_IN = ("not_authenticated", "token_invalid", "token_expired", "session_over", "too_many_requests")
ALWAYS = ("database_down", "database_full", "internal")


def refusals(*codes: str, signed_in: bool = True) -> Responses:
    """The `responses=` of a route: every error code that it can answer, grouped by status, with examples."""
    by_status: dict[int, list[str]] = {}
    too_large = ("too_large",) if "bad_json" in codes else ()
    for code in dict.fromkeys((*codes, *too_large, *(SIGNED_IN if signed_in else ()), *ALWAYS)):
        by_status.setdefault(CODES[code][0], []).append(code)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {code: {"summary": CODES[code][1], "value": _example(status, code)} for code in codes}
    answer: dict[str, Any] = {
        "description": " · ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
    if status in (429, 503):
        seconds = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
        answer["headers"] = {"Retry-After": seconds}
    return answer


def _example(status: int, code: str) -> dict[str, Any]:
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=CODES[code][1],
        code=code,
        request_id="6f1d0c9a5b7e4c1f9d3a2b8e7c6f5d4a",
    )
    return problem.model_dump(exclude_defaults=True)


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The document of `app`, without the framework's own 422, which is never sent."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document["components"]["schemas"]
    del schemas["HTTPValidationError"], schemas["ValidationError"]
    for shape in _all_shapes(Shape):
        examples = shape.model_json_schema().get("examples")
        if examples and shape.__name__ in schemas:
            schemas[shape.__name__]["examples"] = examples  # again, because the framework removes their nulls
    _, problem = models_json_schema([(Problem, "validation")], ref_template="#/components/schemas/{model}")
    schemas.update(problem["$defs"])
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method != "get":
                _add(operation["responses"], "foreign_origin")
            if MEDIA_TYPE not in operation["responses"].get("422", {"content": [MEDIA_TYPE]})["content"]:
                del operation["responses"]["422"]
    return document


def _add(responses: dict[str, Any], code: str) -> None:
    """Document one more error code, which is answered before a call reaches its route."""
    status = CODES[code][0]
    alone = _response(status, [code])
    known = responses.get(str(status), {"description": "", "content": {MEDIA_TYPE: {"examples": {}}}})
    examples = {**known["content"][MEDIA_TYPE]["examples"], **alone["content"][MEDIA_TYPE]["examples"]}
    alone["content"][MEDIA_TYPE]["examples"] = examples
    alone["description"] = " · ".join(f"`{each}`" for each in examples)
    responses[str(status)] = alone


def _all_shapes(above: type[Shape]) -> Iterator[type[Shape]]:
    for shape in above.__subclasses__():
        yield shape
        yield from _all_shapes(shape)

"""What all shapes of answers share, and their examples in `/docs`. A shape itself stands beside its route.

Most answers are built as JSON by PostgreSQL and never become instances of their shapes; the tests validate
every answer against its shape.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

USER_ID = "0199a1f2-0000-7000-8000-000000000001"
JOB_ID = "0199a1f2-1111-7000-8000-000000000002"
MESSAGE_ID = "0199a1f2-2222-7000-8000-000000000003"
TICKET_ID = "0199a1f2-3333-7000-8000-000000000004"
OTHER_ID = "0199a1f2-4444-7000-8000-000000000005"
COMMIT = "9f0c2f6e0b0f4f6f8f5b0c3d1e2a4b6c8d0e1f2a"
WHEN = "2026-11-23T04:15:00.123456Z"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"  # noqa: S105 - an example
CHECK = {
    "id": "c1",
    "criterion": 0,
    "kind": "http",
    "method": "GET",
    "path": "/",
    "expect_status": 200,
}


class Shape(BaseModel, defer_build=True):
    """The shape of an answer. Pydantic builds its validator on first use: most serve the OpenAPI document
    alone."""

    model_config = ConfigDict(frozen=True)


def example(**value: Any) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [value]})

"""Which requests of an `http` check are refused when a plan is made, and with which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.ticket import CHECK, HttpCheck
from workers.pipeline.proof.observing import check_digest

LOGIN = {"method": "POST", "path": "/login", "form": {"name": "ada"}, "expect_status": 303}
TAKEN = {"path": "/", "take": [{"name": "token", "source": "field", "at": "csrf"}]}


def check(**more: Any) -> HttpCheck:
    made = CHECK.validate_python({"id": "c1", "criterion": 0, "kind": "http", "path": "/me", **more})
    assert isinstance(made, HttpCheck)
    return made


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"path": "{{where}}"}, "path: it begins with /"),
        ({"path": "me"}, "pattern"),
        ({"steps": [{"path": "/{{id}}"}]}, "request 1 of 2: `{{id}}` is taken from no answer before it"),
        ({"steps": [LOGIN], "expect_text": "{{id}}"}, "request 2 of 2: `{{id}}` is taken from no answer"),
        ({"steps": [LOGIN | {"body": 1}]}, "request 1 of 2: it has a `body` or a `form` with `files`"),
        ({"steps": [LOGIN | {"method": "GET"}]}, "of a GET the fields stand in the path"),
        ({"steps": [LOGIN] * 21}, "at most 20 items"),
        ({"form": {"a": "b"}}, "of a GET the fields stand in the path"),
        ({"headers": ["a b"]}, "pattern"),
        ({"expect_text": "\ud800"}, "half of a character"),
        ({"body": {"a": "\ud800"}}, "half of a character"),
        ({"steps": [{"path": "/", "expect_json": ["\ud800"]}]}, "half of a character"),
        ({"headers": ["a: b\r\nc: d"]}, "pattern"),
        ({"files": [{"field": "f", "filename": "n", "content": "?", "base64": True}], "method": "POST"},
         "the content of n is no Base64"),
        ({"method": "POST", "form": dict.fromkeys("abc", "é" * 4000)}, "at most 48000 bytes"),
        ({"steps": [{"path": "/", "take": [{"name": "a", "source": "text", "at": "("}]}]},
         "request 1 of 2: take a: `at` is no regular expression"),
        ({"steps": [{"path": "/", "take": [{"name": "a", "source": "text", "at": "(" * 200}]}]},
         "`at` is no regular expression"),
        ({"steps": [{"path": "/", "take": [{"name": "a", "source": "text", "at": "(a{99999999999})"}]}]},
         "`at` is no regular expression"),
        ({"steps": [{"path": "/", "take": [{"name": "a", "source": "text", "at": "a+"}]}]}, "needs a group"),
        ({"steps": [{"path": "/", "take": [{"name": "a-b", "source": "json", "at": "a"}]}]}, "pattern"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_made(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check(**more)
    assert said in str(refused.value)


def test_requests_that_can_be_made() -> None:
    body = {"steps": [TAKEN, LOGIN | {"form": {"csrf": "{{token}}"}}], "body": {"a": [None, 1]}}
    assert check(**body, method="POST", path="{{token}}").steps[1].form == {"csrf": "{{token}}"}
    assert check(expect_text="{{id}}").expect_text == "{{id}}", "a single request knows no values"


def test_a_check_without_them_is_as_it_always_was() -> None:
    """Its stored form is its digest, by which the evidence of earlier runs is found."""
    plain = check(expect_json={"a": None})
    assert plain.model_dump(mode="json") == {
        "id": "c1",
        "criterion": 0,
        "kind": "http",
        "method": "GET",
        "path": "/me",
        "body": None,
        "expect_status": 200,
        "expect_text": None,
        "expect_json": {"a": None},
    }
    assert check_digest(plain) == "0e06c2c9c3f09bf5e8bce71b3cbd38da0eb78cfed21c9421c0b722665764b822"

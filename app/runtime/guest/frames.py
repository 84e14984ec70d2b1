"""What a frame is, and the JSON in one."""

import json
import struct
from typing import Any

HEADER = struct.Struct("!IBI")
HELLO, OPEN, DATA, EOF, CREDIT, RESULT, RESET, PING, PONG, BYE = range(1, 11)

MAX_FRAME = 65_536
PIECE = 32_768

Json = dict[str, Any]


class Violation(Exception):
    """The peer broke the protocol; nothing it says is worth anything any more."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_object(payload: bytes) -> Json:
    """A JSON object of at most one frame, or Violation: no NaN, no list, nothing too deep or too long."""
    try:
        value = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Violation(f"bad JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise Violation("a frame's JSON is no object")
    return value


def encode_object(value: Json) -> bytes:
    payload = json.dumps(value, separators=(",", ":")).encode()
    if len(payload) > MAX_FRAME:
        raise ValueError("this does not fit in one frame")
    return payload

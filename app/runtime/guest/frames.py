"""The format of frames (see `link`), and of the JSON in them."""

import json
import struct
from typing import Any

HEADER = struct.Struct("!IBI")
HELLO, OPEN, DATA, EOF, CREDIT, RESULT, RESET, PING, PONG, BYE = range(1, 11)

MAX_FRAME = 65_536
PIECE = 32_768

Json = dict[str, Any]


class Violation(Exception):
    """The peer broke the protocol, so nothing more from it can be trusted."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_object(payload: bytes) -> Json:
    """The JSON object in a frame. Raises Violation for anything else, for NaN and Infinity, and for JSON that
    is nested too deeply."""
    try:
        value = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Violation(f"bad JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise Violation("a frame's JSON is no object")
    return value


def encode_object(value: Json) -> bytes:
    """The payload of a frame. Raises ValueError if it is longer than `MAX_FRAME`."""
    payload = json.dumps(value, separators=(",", ":")).encode()
    if len(payload) > MAX_FRAME:
        raise ValueError("this does not fit in one frame")
    return payload

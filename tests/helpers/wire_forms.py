"""What the servers of all vendors' wires share: the chat form of a request, and server-sent events."""

from collections.abc import Sequence
from typing import Any

import orjson

Json = dict[str, Any]


def chat(system: str, turns: Sequence[Json], tools: Sequence[str], limit: int) -> Json:
    return {"messages": [{"role": "system", "content": system}, *turns], "tools": tools, "max_tokens": limit}


def chat_call(ident: str, name: str, arguments: Any) -> Json:
    said = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {"id": ident, "function": {"name": name, "arguments": said}}


def events_of(events: Sequence[Json], *, named: bool = True) -> list[bytes]:
    return [
        (b"event: " + each["type"].encode() + b"\n" if named else b"")
        + b"data: "
        + orjson.dumps(each)
        + b"\n\n"
        for each in events
    ]


def pieces_of(text: str) -> list[str]:
    """The text as it is streamed, in three pieces."""
    step = max(1, -(-len(text) // 3))
    return [text[start : start + step] for start in range(0, len(text), step)]


def texts(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())

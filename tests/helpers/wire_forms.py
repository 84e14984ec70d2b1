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


def events_of(events: Sequence[Json], *, named: bool = True) -> bytes:
    lines = [
        (f"event: {each['type']}\n" if named else "") + f"data: {orjson.dumps(each).decode()}\n\n"
        for each in events
    ]
    return "".join(lines).encode()


def texts(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())

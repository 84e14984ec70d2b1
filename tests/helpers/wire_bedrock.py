"""The wire of Amazon Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html"""

import binascii
import struct
from collections.abc import Mapping
from typing import Any

import orjson

from tests.helpers.wire_forms import Json, chat, chat_call, pieces_of, texts
from workers.llm.model import Answer


def read(body: Json) -> Json:
    turns: list[Json] = []
    for turn in body["messages"]:
        blocks = turn["content"]
        calls = [
            chat_call(each["toolUse"]["toolUseId"], each["toolUse"]["name"], each["toolUse"]["input"])
            for each in blocks
            if "toolUse" in each
        ]
        turns += [
            {
                "role": "tool",
                "tool_call_id": each["toolResult"]["toolUseId"],
                "content": texts(each["toolResult"]["content"]),
            }
            for each in blocks
            if "toolResult" in each
        ]
        text = texts(blocks)
        if text or calls:
            turns.append({"role": turn["role"], "content": text, "tool_calls": calls})
    tools = [
        tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool
    ]
    return chat(texts(body.get("system")), turns, tools, body["inferenceConfig"]["maxTokens"])


def write(answer: Answer, streamed: bool) -> tuple[str, list[bytes]]:
    stop = "tool_use" if answer.calls else "end_turn"
    usage = {
        "inputTokens": 100,
        "cacheWriteInputTokens": 20,
        "cacheReadInputTokens": 30,
        "outputTokens": 7,
        "totalTokens": 157,
    }
    if not streamed:
        content: list[Json] = [{"text": answer.text}] if answer.text else []
        content += [
            {"toolUse": {"toolUseId": f"t{place}", "name": call.name, "input": orjson.loads(call.arguments)}}
            for place, call in enumerate(answer.calls)
        ]
        message = {"role": "assistant", "content": content}
        whole = {
            "output": {"message": message},
            "stopReason": stop,
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }
        return "application/json", [orjson.dumps(whole)]
    frames = [_frame("messageStart", {"role": "assistant"})]
    place = 0
    if answer.text:
        frames += [
            _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
            for piece in pieces_of(answer.text)
        ]
        frames.append(_frame("contentBlockStop", {"contentBlockIndex": 0}))
        place = 1
    for call in answer.calls:
        start = {"toolUse": {"toolUseId": f"t{place}", "name": call.name}}
        frames += [
            _frame("contentBlockStart", {"contentBlockIndex": place, "start": start}),
            *(
                _frame(
                    "contentBlockDelta",
                    {"contentBlockIndex": place, "delta": {"toolUse": {"input": piece}}},
                )
                for piece in pieces_of(call.arguments)
            ),
            _frame("contentBlockStop", {"contentBlockIndex": place}),
        ]
        place += 1
    frames += [
        _frame("messageStop", {"stopReason": stop}),
        _frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]
    return "application/vnd.amazon.eventstream", frames


def _frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """A message of AWS's event stream: lengths, checksum, headers, payload, checksum."""
    body = orjson.dumps(payload)
    headers = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + b"\x07"
        + struct.pack("!H", len(value))
        + value.encode()
        for name, value in (
            (":event-type", kind),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    lengths = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = lengths + struct.pack("!I", binascii.crc32(lengths)) + headers + body
    return message + struct.pack("!I", binascii.crc32(message))

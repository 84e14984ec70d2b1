"""The wire of Anthropic: https://docs.anthropic.com/en/api/messages"""

import orjson

from tests.helpers.wire_forms import Json, chat, chat_call, events_of, pieces_of, texts
from workers.llm.model import Answer


def read(body: Json) -> Json:
    turns: list[Json] = []
    for turn in body["messages"]:
        blocks = (
            [{"type": "text", "text": turn["content"]}]
            if isinstance(turn["content"], str)
            else turn["content"]
        )
        calls = [
            chat_call(each["id"], each["name"], each["input"])
            for each in blocks
            if each["type"] == "tool_use"
        ]
        turns += [
            {"role": "tool", "tool_call_id": each["tool_use_id"], "content": texts(each["content"])}
            for each in blocks
            if each["type"] == "tool_result"
        ]
        text = "".join(each["text"] for each in blocks if each["type"] == "text")
        if text or calls:
            turns.append({"role": turn["role"], "content": text, "tool_calls": calls})
    return chat(
        texts(body.get("system")),
        turns,
        [tool["name"] for tool in body.get("tools", ())],
        body["max_tokens"],
    )


def write(answer: Answer, streamed: bool) -> tuple[str, list[bytes]]:
    blocks: list[Json] = [{"type": "text", "text": answer.text}] if answer.text else []
    blocks += [
        {"type": "tool_use", "id": f"t{place}", "name": call.name, "input": orjson.loads(call.arguments)}
        for place, call in enumerate(answer.calls)
    ]
    stop = "tool_use" if answer.calls else "end_turn"
    head: Json = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    usage = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "output_tokens": 7,
    }
    if not streamed:
        whole = {**head, "content": blocks, "stop_reason": stop, "usage": usage}
        return "application/json", [orjson.dumps(whole)]
    events: list[Json] = [
        {"type": "message_start", "message": {**head, "usage": {**usage, "output_tokens": 1}}}
    ]
    for place, block in enumerate(blocks):
        empty: Json
        if block["type"] == "text":
            empty = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"])]
        else:
            empty = {**block, "input": {}}
            arguments = orjson.dumps(block["input"]).decode()
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces_of(arguments)]
        events += [
            {"type": "content_block_start", "index": place, "content_block": empty},
            *({"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": place},
        ]
    events += [
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    return "text/event-stream", events_of(events)

"""The wire of OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses"""

import orjson

from tests.helpers.wire_forms import Json, chat, chat_call, events_of, pieces_of, texts
from workers.llm.model import Answer


def read(body: Json) -> Json:
    turns: list[Json] = []
    for item in body["input"]:
        match item.get("type", "message"):
            case "function_call":
                call = chat_call(item["call_id"], item["name"], item["arguments"])
                if turns and turns[-1]["role"] == "assistant":
                    turns[-1]["tool_calls"].append(call)
                else:
                    turns.append({"role": "assistant", "content": "", "tool_calls": [call]})
            case "function_call_output":
                turns.append(
                    {"role": "tool", "tool_call_id": item["call_id"], "content": texts(item["output"])}
                )
            case "message":
                turns.append({"role": item["role"], "content": texts(item["content"]), "tool_calls": []})
    tools = [tool["name"] for tool in body.get("tools", ())]
    return chat(body.get("instructions", ""), turns, tools, body["max_output_tokens"])


def write(answer: Answer, streamed: bool) -> tuple[str, list[bytes]]:
    items: list[Json] = []
    if answer.text:
        text = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        items.append(
            {"type": "message", "id": "m0", "role": "assistant", "status": "completed", "content": [text]}
        )
    items += [
        {
            "type": "function_call",
            "id": f"f{place}",
            "call_id": f"c{place}",
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for place, call in enumerate(answer.calls)
    ]
    usage = {
        "input_tokens": 100, "output_tokens": 7, "total_tokens": 107,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    whole = {
        "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed",
        "output": items, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage,
        "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1, "top_p": 1,
    }  # fmt: skip
    if not streamed:
        return "application/json", [orjson.dumps(whole)]
    events: list[Json] = [
        {
            "type": "response.created",
            "response": {**whole, "output": [], "status": "in_progress", "usage": None},
        }
    ]
    for place, item in enumerate(items):
        events.append(
            {
                "type": "response.output_item.added",
                "output_index": place,
                "item": {**item, "content": [], "arguments": ""},
            }
        )
        at = {"item_id": item["id"], "output_index": place}
        if item["type"] == "message":
            said = item["content"][0]["text"]
            events += [
                {
                    "type": "response.content_part.added",
                    **at,
                    "content_index": 0,
                    "part": {**item["content"][0], "text": ""},
                },
                *(
                    {
                        "type": "response.output_text.delta",
                        **at,
                        "content_index": 0,
                        "delta": piece,
                        "logprobs": [],
                    }
                    for piece in pieces_of(said)
                ),
                {"type": "response.output_text.done", **at, "content_index": 0, "text": said, "logprobs": []},
            ]
        else:
            events += [
                *(
                    {"type": "response.function_call_arguments.delta", **at, "delta": piece}
                    for piece in pieces_of(item["arguments"])
                ),
                {
                    "type": "response.function_call_arguments.done",
                    **at,
                    "name": item["name"],
                    "arguments": item["arguments"],
                },
            ]
        events.append({"type": "response.output_item.done", "output_index": place, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return "text/event-stream", events_of(
        [{**each, "sequence_number": place} for place, each in enumerate(events)]
    )

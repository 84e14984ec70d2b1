"""The wire of Google: https://ai.google.dev/api/generate-content"""

import orjson

from tests.helpers.wire_forms import Json, chat, chat_call, events_of, pieces_of, texts
from workers.llm.model import Answer


def read(body: Json) -> Json:
    turns: list[Json] = []
    for turn in body["contents"]:
        parts = turn["parts"]
        calls = [
            chat_call("", each["functionCall"]["name"], each["functionCall"].get("args", {}))
            for each in parts
            if "functionCall" in each
        ]
        turns += [
            {"role": "tool", "tool_call_id": "", "content": _result(each["functionResponse"]["response"])}
            for each in parts
            if "functionResponse" in each
        ]
        text = "".join(each.get("text", "") for each in parts)
        if text or calls:
            role = "assistant" if turn["role"] == "model" else "user"
            turns.append({"role": role, "content": text, "tool_calls": calls})
    tools = [each["name"] for tool in body.get("tools", ()) for each in tool.get("functionDeclarations", ())]
    system = texts(body.get("systemInstruction", {}).get("parts"))
    return chat(system, turns, tools, body["generationConfig"]["maxOutputTokens"])


def _result(said: Json) -> str:
    return str(said.get("return_value", said.get("output", said)))


def write(answer: Answer, streamed: bool) -> tuple[str, list[bytes]]:
    parts: list[Json] = [{"text": answer.text}] if answer.text else []
    parts += [
        {
            "functionCall": {"name": call.name, "args": orjson.loads(call.arguments)},
            "thoughtSignature": "c2ln",
        }
        for call in answer.calls
    ]
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 7,
        "totalTokenCount": 107,
    }
    if not streamed:
        return "application/json", [orjson.dumps(_said(parts, usage, "STOP"))]
    texts_first: list[Json] = [{"text": piece} for piece in pieces_of(answer.text)]
    calls = [part for part in parts if "functionCall" in part]
    so_far = {**usage, "candidatesTokenCount": 3, "totalTokenCount": 103}
    chunks = [_said([part], so_far, None) for part in (*texts_first, *calls)]
    return "text/event-stream", events_of([*chunks, _said([{"text": ""}], usage, "STOP")], named=False)


def _said(parts: list[Json], usage: Json, reason: str | None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}

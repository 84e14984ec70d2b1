"""A model that can do all that `boardroom model check` asks, in every wire of ours, and what its server tells
of its context window."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.domain.vendors import VENDORS, wire_of
from app.settings import Settings
from tests.helpers.model_server import Exchange, answer_streamed, answer_whole, open_server
from tests.helpers.wire_forms import Json
from tests.helpers.wires import open_wire
from workers.llm.model import Answer, Tokens, ToolCall

KEY = "sk-able-key-1"
FOUND = Tokens(40, 12)
NAMES = {
    "openai": "gpt-5",
    "anthropic": "claude-opus-4-5",
    "google": "gemini-2.5-pro",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "mistral": "mistral-large-latest",
    "groq": "openai/gpt-oss-120b",
    "openrouter": "anthropic/claude-sonnet-4.5",
    "deepseek": "deepseek-chat",
    "ollama": "qwen3-coder:30b",
}
"""A model of each vendor."""

FIELDS = {"mistral": "max_context_length", "groq": "context_window", "openrouter": "context_length"}
WINDOW = 131_072


async def able(chat: Json) -> Answer:
    """What it answers to a request in chat form."""
    if "look" in chat["tools"]:
        calls = tuple(ToolCall(f"c{place}", "look", f'{{"path":"{place}.txt"}}') for place in range(2))
        return Answer("", "", calls, FOUND, "tool_calls")
    if "answer" in chat["tools"]:
        return Answer("", "", (ToolCall("c", "answer", '{"sum":42}'),), FOUND, "tool_calls")
    if "17 + 25" in str(chat["messages"]):
        return Answer('{"sum": 42}', "", (), FOUND, "stop")
    return Answer("1 2 3 4 5 6 7 8 9 10 11 12", "", (), FOUND, "stop")


async def answers(exchange: Exchange) -> None:
    """The same, as a move of a server with chat completions."""
    body = exchange.body
    tools = [tool["function"]["name"] for tool in body.get("tools", ())]
    answer = await able({"tools": tools, "messages": body["messages"]})
    await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)


@asynccontextmanager
async def served(kind: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """Settings for the vendor's model, whose usual address is meanwhile one of ours, in its wire."""
    name = NAMES[kind]
    patch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    wire = wire_of(kind, name, "")
    given: Json = {"model": f"{kind}:{name}", VENDORS[kind].key.lower(): "" if kind == "bedrock" else KEY}
    if wire == "chat":
        async with open_server() as chat:
            chat.scripts[KEY] = [answers]
            listed = {"id": name, FIELDS.get(kind, "owned_by"): WINDOW}
            chat.pages["/v1/models"] = {"data": [{"id": "another"}, listed]}
            chat.pages["/api/ps"] = {"models": [{"name": name, "context_length": 4096}]}
            patch.setitem(VENDORS, kind, replace(VENDORS[kind], usual=chat.url))
            yield Settings(_env_file=None, **given)
        return
    async with open_wire(wire, able) as server:
        server.pages[f"/v1/models/{name}"] = {"id": name, "max_input_tokens": 200_000}
        server.pages[f"/v1beta/models/{name}"] = {"name": name, "inputTokenLimit": 1_048_576}
        patch.setitem(VENDORS, kind, replace(VENDORS[kind], usual=server.url))
        if kind == "bedrock":
            given |= {"aws_region": "eu-west-1", "bedrock_base_url": server.url}
        yield Settings(_env_file=None, **given)

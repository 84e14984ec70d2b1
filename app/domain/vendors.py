"""Whose models can be chosen: one table, for settings, `doctor` and workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Wire = Literal["chat", "responses", "anthropic", "google", "bedrock"]
"""In which API a vendor's models are asked."""


@dataclass(frozen=True)
class Vendor:
    """`needs` are the settings of which one must be set, and `key` and `address` those with the key and, if
    it is not at `usual`, the address. `prices` is its name in the list of prices; empty if its models have
    none. `extra` is the optional part of our package that its `wire` takes."""

    wire: Wire
    key: str
    address: str
    usual: str
    needs: tuple[str, ...]
    prices: str = ""
    extra: str = ""


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(
        "chat", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1",
        ("OPENAI_API_KEY", "OPENAI_BASE_URL"), "openai",
    ),
    "anthropic": Vendor(
        "anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://api.anthropic.com",
        ("ANTHROPIC_API_KEY",), "anthropic", "anthropic",
    ),
    "google": Vendor(
        "google", "GOOGLE_API_KEY", "GOOGLE_BASE_URL", "https://generativelanguage.googleapis.com",
        ("GOOGLE_API_KEY",), "google", "google",
    ),
    "mistral": Vendor(
        "chat", "MISTRAL_API_KEY", "MISTRAL_BASE_URL", "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",), "mistral",
    ),
    "groq": Vendor(
        "chat", "GROQ_API_KEY", "GROQ_BASE_URL", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",), "groq"
    ),
    "openrouter": Vendor(
        "chat", "OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",), "openrouter",
    ),
    "deepseek": Vendor(
        "chat", "DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL", "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",), "deepseek",
    ),
    "bedrock": Vendor(
        "bedrock", "AWS_BEARER_TOKEN_BEDROCK", "BEDROCK_BASE_URL", "", ("AWS_REGION", "BEDROCK_BASE_URL"),
        "aws", "bedrock",
    ),
    "ollama": Vendor(
        "chat", "OLLAMA_API_KEY", "OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1", ()
    ),
}  # fmt: skip

RESPONSES = ("gpt-5", "gpt-6", "o1", "o3", "o4", "codex")
"""Beginnings of the names of OpenAI's models that are asked by its Responses API, if OPENAI_BASE_URL is not
set: they think, and give their thoughts back there only."""


def wire_of(kind: str, model: str, address: str) -> Wire:
    """`address` is empty if the vendor is asked at its own."""
    if kind == "openai" and not address and model.startswith(RESPONSES):
        return "responses"
    return VENDORS[kind].wire

"""How many tokens a request and its answer may have together, as far as a model's server tells."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.domain.vendors import VENDORS, wire_of
from workers.llm.client import open_client
from workers.llm.endpoint import TimeLimits
from workers.llm.vendors import Server

ASK_S = 5.0

FIELDS = (
    "max_model_len",
    "context_window",
    "context_length",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
)
"""What the window is called in a list of models: by vLLM, Groq, OpenRouter, Mistral, Anthropic and Google."""

_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)

Find = Callable[[Any, str], object]
"""Finds the window of the model of that name in a server's answer. May raise what wrong shapes raise."""


@dataclass(frozen=True)
class Page:
    """Where a server may tell it. With `body` it is asked by POST."""

    url: str
    find: Find
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] | None = None


async def told_window(kind: str, name: str, server: Server, times: TimeLimits) -> int | None:
    """The window of a vendor's model. None if its server does not tell."""
    pages = _pages(kind, name, server)
    if not pages:
        return None
    async with open_client(times, pages[0].url) as client:
        for page in pages:
            try:
                asked = "POST" if page.body is not None else "GET"
                answer = await client.request(
                    asked, page.url, headers=dict(page.headers), json=page.body, timeout=ASK_S
                )
                found = page.find(answer.json(), name) if answer.status_code == 200 else None
            except (httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError):
                continue
            if isinstance(found, int) and found > 0:
                return found
    return None


def _pages(kind: str, name: str, server: Server) -> list[Page]:
    url = (server.url or VENDORS[kind].usual).rstrip("/")
    match wire_of(kind, name, server.url):
        case "chat":
            listed = Page(f"{url}/models", _listed, {"Authorization": f"Bearer {server.key or 'none'}"})
            own = bool(server.url) or kind == "ollama"
            return [*(_own(url.removesuffix("/v1"), name) if own else ()), listed]
        case "anthropic":
            headers = {"x-api-key": server.key, "anthropic-version": "2023-06-01"}
            return [Page(f"{url}/v1/models/{name}", _of_model, headers)]
        case "google":
            return [Page(f"{url}/v1beta/models/{name}", _of_model, {"x-goog-api-key": server.key})]
    return []


def _own(root: str, name: str) -> list[Page]:
    """What only servers of one's own tell: llama.cpp, and Ollama of a model that it has loaded, or its
    settings."""
    return [
        Page(f"{root}/props", lambda page, _: page["default_generation_settings"]["n_ctx"]),
        Page(f"{root}/api/ps", _loaded),
        Page(f"{root}/api/show", _shown, body={"model": name}),
    ]


def _loaded(page: Any, name: str) -> object:
    return next((each["context_length"] for each in page["models"] if each["name"] == name), None)


def _shown(page: Any, _: str) -> object:
    found = _NUM_CTX.search(page["parameters"])
    return int(found[1]) if found else None


def _listed(page: Any, name: str) -> object:
    models = page["data"]
    return next((_of_model(each, name) for each in models if each["id"] == name or len(models) == 1), None)


def _of_model(model: Any, _: str) -> object:
    served = model.get("top_provider") or model
    return next((each[key] for each in (served, model) for key in FIELDS if each.get(key)), None)

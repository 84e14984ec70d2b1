"""Anthropic's models: an extra, imported only when one is chosen (`pip install -e '.[anthropic]'`)."""

from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.providers.anthropic import AnthropicProvider

from workers.llm.client import open_client
from workers.llm.endpoint import Endpoint
from workers.llm.prices import Price
from workers.llm.provider import Provider
from workers.llm.vendors import Server

CACHING = AnthropicModelSettings(
    anthropic_cache_tool_definitions=True,
    anthropic_cache_instructions=True,
    anthropic_cache_messages=True,
)
"""Marks on the last tool, the instructions and the last message. Gateways know them; the newer single mark on
the whole request many do not."""


def open_model(kind: str, name: str, server: Server, endpoint: Endpoint, price: Price) -> Provider:
    assert kind == "anthropic"
    return open_anthropic(name, base_url=server.url, key=server.key, endpoint=endpoint, price=price)


def open_anthropic(name: str, *, base_url: str, key: str, endpoint: Endpoint, price: Price) -> Provider:
    """A model of Anthropic's, by its own interface."""
    url = base_url or "https://api.anthropic.com"
    client = AsyncAnthropic(
        base_url=url,
        api_key=key,
        max_retries=0,
        http_client=open_client(endpoint.times, url),
    )
    library = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    return Provider(f"anthropic:{name}", library, endpoint, price, key, "anthropic", caching=CACHING)

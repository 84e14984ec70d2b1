"""Google's models by its own API: an extra, imported only when one is chosen."""

from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from workers.llm.client import open_client
from workers.llm.endpoint import Endpoint
from workers.llm.prices import Price
from workers.llm.provider import Provider
from workers.llm.vendors import Server


def open_model(kind: str, name: str, server: Server, endpoint: Endpoint, price: Price) -> Provider:
    """The library's client asks once."""
    reached = GoogleProvider(
        api_key=server.key, base_url=server.url, http_client=open_client(endpoint.times, server.url)
    )
    return Provider(
        f"{kind}:{name}", GoogleModel(name, provider=reached), endpoint, price, server.key, "google"
    )

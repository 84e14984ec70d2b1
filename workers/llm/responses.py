"""OpenAI's models by its Responses API, which gives the thoughts of models that think back to us."""

from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider

from workers.llm.client import open_client
from workers.llm.endpoint import Endpoint
from workers.llm.prices import Price
from workers.llm.provider import Provider
from workers.llm.vendors import Server

SETTINGS = OpenAIResponsesModelSettings(openai_store=False)
"""Nothing is kept at OpenAI: thoughts come back encrypted instead."""


def open_model(kind: str, name: str, server: Server, endpoint: Endpoint, price: Price) -> Provider:
    client = AsyncOpenAI(
        base_url=server.url,
        api_key=server.key or "none",
        max_retries=0,
        http_client=open_client(endpoint.times, server.url),
    )
    library = OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=client), settings=SETTINGS)
    return Provider(f"{kind}:{name}", library, endpoint, price, server.key, "responses")

"""Models of Amazon Bedrock: an extra, imported only when one is chosen.

Its client works in threads: a question that is given up goes on there until its time limit.
"""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.settings import ModelSettings

from app.proxies import proxy_for
from workers.llm.endpoint import Endpoint
from workers.llm.prices import Price
from workers.llm.provider import Provider
from workers.llm.vendors import Server

CACHING = ModelSettings(cache=True)
"""The library knows which models take the marks: Anthropic's and Amazon's."""

ADDRESS = "https://bedrock-runtime.{region}.amazonaws.com"


def open_model(kind: str, name: str, server: Server, endpoint: Endpoint, price: Price) -> Provider:
    """With a key (AWS_BEARER_TOKEN_BEDROCK), else with what AWS's own tools find: AWS_ACCESS_KEY_ID and so on
    in the environment, or a profile. Raises UnusableProxy."""
    url = server.url or ADDRESS.format(region=server.region)
    if server.key:
        os.environ["AWS_BEARER_TOKEN_BEDROCK"] = server.key  # the only way in which botocore takes it
    proxy = proxy_for(url)
    times = endpoint.times
    client = boto3.client(
        "bedrock-runtime",
        region_name=server.region or "us-east-1",
        endpoint_url=url,
        config=Config(
            connect_timeout=times.connect_s,
            read_timeout=times.call_s,
            retries={"total_max_attempts": 1},
            proxies={"http": proxy, "https": proxy} if proxy else {"no": "*"},
        ),
    )
    library = BedrockConverseModel(name, provider=BedrockProvider(bedrock_client=client))
    errors = (BotoCoreError,)
    return Provider(
        f"{kind}:{name}", library, endpoint, price, server.key, "bedrock", errors, caching=CACHING
    )

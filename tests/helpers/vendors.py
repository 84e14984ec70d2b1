"""Models of the vendors, opened at servers of the tests."""

from workers.llm import responses
from workers.llm.endpoint import Endpoint
from workers.llm.model import Message, Model, Question, ToolSpec
from workers.llm.prices import fixed
from workers.llm.vendors import Server, open_model

KEY = "sk-vendors-key-1"
NAMES = {
    "anthropic": "claude-opus-5-5",
    "google": "gemini-2.5-pro",
    "openrouter": "some/model",
    "openai": "gpt-5",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}
OTHER_WIRES = [
    ("openai", "responses"),
    ("anthropic", "anthropic"),
    ("google", "google"),
    ("bedrock", "bedrock"),
]
TOOL = ToolSpec("look", "Look at it.", {"type": "object", "properties": {"path": {"type": "string"}}})
ASKED = Question("CEO", "discussion", "You are the CEO.", (Message("user", "Hello"),), tools=(TOOL,))


def model_of(kind: str, wire: str, url: str, *, stream: bool) -> Model:
    """As `open_model` opens it; OpenAI's Responses are asked at an address of ours."""
    endpoint = Endpoint(stream=stream)
    server = Server(url, "", "eu-west-1") if kind == "bedrock" else Server(url, KEY)
    if wire == "responses":
        return responses.open_model(kind, NAMES[kind], server, endpoint, fixed(1, 1))
    return open_model(kind, NAMES.get(kind, "some-model"), server, endpoint, fixed(1, 1))

"""Answers and tools can be asked for in each vendor's wire, of models by their real names: the
library knows what they take, and refuses the rest before anything is sent."""

import pytest

from tests.helpers.able import NAMES, served
from workers.agents import tools
from workers.agents.outputs import Backlog, Checks, ClientReply, Contested, Prd, Review
from workers.llm.model import Message, Question
from workers.main import choose_models

SHAPES = (Backlog, Checks, ClientReply, Contested, Prd, Review)
"""With and without checks, whose expected JSON may be anything."""

MODELS = [
    *NAMES.items(),
    ("anthropic", "claude-opus-5-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "some-model"),
    ("bedrock", "eu.anthropic.claude-opus-4-8-v1:0"),
    ("bedrock", "amazon.nova-pro-v1:0"),
    ("google", "gemini-3-pro-preview"),
    ("openai", "o3"),
    ("openai", "gpt-4o"),
    ("openrouter", "deepseek/deepseek-chat"),
    ("deepseek", "deepseek-reasoner"),
]


def question(**more: object) -> Question:
    return Question("CEO", "discussion", "Answer.", (Message("user", "Hello"),), **more)  # type: ignore[arg-type]


@pytest.mark.may_block
@pytest.mark.parametrize("reasoning", [None, "high"])
@pytest.mark.parametrize(("kind", "name"), MODELS)
async def test_every_answer_and_tool(
    kind: str, name: str, reasoning: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAMES, kind, name)
    async with served(kind, monkeypatch) as settings:
        model = choose_models(settings.model_copy(update={"model_reasoning": reasoning})).first
        for shape in SHAPES:
            await model.ask(question(schema=shape.model_json_schema()))
        await model.ask(question(tools=tools.specs()))

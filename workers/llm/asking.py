"""A question as the library sends it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings, ThinkingLevel
from pydantic_ai.tools import ToolDefinition

from workers.llm.chat import Exchange
from workers.llm.endpoint import Endpoint, Reasoning, SchemaMode
from workers.llm.learned import Learned, Refusal
from workers.llm.model import Question, Tokens
from workers.llm.schemas import sendable
from workers.llm.translation import kept_of, to_library

ANSWER_TOOL = "answer"
SCHEMA_NAME = "answer"

THINKING: dict[Reasoning, tuple[ThinkingLevel, int]] = {
    "off": (False, 0),
    "low": ("low", 4_000),
    "medium": ("medium", 16_000),
    "high": ("high", 32_000),
}
"""What MODEL_REASONING is in the library's words, which it maps to each provider's, and how many tokens there
are for thoughts to begin with."""


@dataclass
class Asked:
    """One request. `limit` is the most tokens of its answer, `size` the bytes of its question, `known` how
    much had been learned of the server when it was sent. `begun`, `heard` and `billed`: whether an answer has
    begun, its characters so far, and what was billed for it; `is_flood` if there were too many."""

    question: Question
    mode: SchemaMode | None
    messages: list[ModelMessage]
    parameters: ModelRequestParameters
    settings: ModelSettings
    exchange: Exchange
    limit: int
    size: int
    known: int
    begun: bool = field(default=False, init=False)
    heard: int = field(default=0, init=False)
    billed: Tokens | None = field(default=None, init=False)
    is_flood: bool = field(default=False, init=False)

    def refusal(self, text: str, named: str) -> Refusal:
        """A refusal of this request that says `text`, of the field `named`."""
        exchange = self.exchange
        return Refusal(
            text=text,
            field=named,
            sent=exchange.sent,
            back=exchange.back,
            limit=self.limit,
            size=self.size,
            known=self.known,
            typed=self.mode,
            effort=exchange.effort,
        )


def asked(question: Question, endpoint: Endpoint, learned: Learned, speaker: str) -> Asked:
    """What is sent to ask `question` of `speaker`, whose thoughts come back to it."""
    size = len(orjson.dumps(question))
    limit = learned.most(min(question.max_tokens, endpoint.longest or question.max_tokens), size)
    mode = None if question.schema is None else learned.mode or endpoint.schema_mode
    instructions, parameters = question.instructions, _with_tools(question)
    if question.schema is not None and mode is not None:
        schema = sendable(question.schema)
        parameters = _TYPED[mode](schema)
        if mode == "prompted":
            wanted = orjson.dumps(schema).decode()
            instructions += f"\n\nAnswer with one JSON object that fits this schema:\n{wanted}"
    messages = to_library(question.messages, instructions, speaker)
    settings = ModelSettings(max_tokens=limit)
    if endpoint.reasoning is not None:
        settings["thinking"] = THINKING[endpoint.reasoning][0]
    exchange = Exchange(learned, [kept_of(message) for message in messages if message.kind == "response"])
    return Asked(question, mode, messages, parameters, settings, exchange, limit, size, learned.times)


def _with_tools(question: Question) -> ModelRequestParameters:
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=sendable(tool.parameters),
            )
            for tool in question.tools
        ]
    )


def _native(schema: dict[str, object]) -> ModelRequestParameters:
    wanted = OutputObjectDefinition(json_schema=schema, name=SCHEMA_NAME, strict=False)
    return ModelRequestParameters(output_mode="native", output_object=wanted)


def _tool(schema: dict[str, object]) -> ModelRequestParameters:
    takes = ToolDefinition(name=ANSWER_TOOL, description="Give your answer.", parameters_json_schema=schema)
    return ModelRequestParameters(output_mode="tool", output_tools=[takes], allow_text_output=False)


_TYPED: dict[SchemaMode, Callable[[dict[str, object]], ModelRequestParameters]] = {
    "native": _native,
    "tool": _tool,
    "prompted": lambda _: ModelRequestParameters(),
}

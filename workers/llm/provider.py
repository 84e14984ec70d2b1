"""A real model behind the `Model` protocol. pydantic-ai translates one request and nothing more.

Tool loops, retries, fallback, limits and budgets are ours. Types of the library are used only in this module,
`translation` and `claude`. Only a worker with a real model imports these, because that takes two seconds. The
library's version is pinned; `tests/llm` tests what it does with odd answers.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping

import httpx2
import orjson
from openai import AsyncOpenAI, OpenAIError
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model as LibraryModel
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from app.domain.values import clean, clip
from workers.llm.client import open_client
from workers.llm.endpoint import Endpoint
from workers.llm.model import Answer, Hear, ModelUnavailable, Question, Then, Tokens, ToolCall
from workers.llm.translation import thoughts_of, to_library

MAX_ANSWER_CHARS = 400_000
"""More characters than any `max_tokens` of ours allows. A server that sends more is cut off."""

MAX_CALLS = 100
"""The most tool calls of one answer. Fewer are carried out."""

QUOTED_CHARS = 200
ANSWER_TOOL = "answer"
SCHEMA_NAME = "answer"

NEVER_AGAIN = frozenset({400, 404, 405, 413, 415, 422})
"""Statuses after which the same request would fail again, also with another model. `_THEN` has exceptions."""

_THEN: dict[int, Then] = {401: Then.ELSEWHERE, 402: Then.ELSEWHERE, 403: Then.ELSEWHERE, 404: Then.ELSEWHERE}

COMPATIBLE = OpenAIModelProfile(
    openai_supports_strict_tool_definition=False,
    openai_chat_supports_max_completion_tokens=False,
    openai_chat_supports_multiple_system_messages=False,
    openai_chat_streaming_requires_finish_reason=True,
    supports_json_schema_output=True,
    supports_json_object_output=True,
)
"""What any server with OpenAI's chat completions API can be expected to support."""

OPENAI = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
"""OpenAI itself: the library knows its models. A stream that ends without a reason is never taken for an
answer."""


class Provider:
    """`workers.llm.model.Model` on a model of the library. `secret` is removed from all messages."""

    def __init__(
        self,
        name: str,
        library: LibraryModel,
        endpoint: Endpoint,
        price: Callable[[Tokens], float | None],
        secret: str,
    ) -> None:
        self.name = name
        self._library = library
        self._endpoint = endpoint
        self._price = price
        self._secret = secret

    def price(self, tokens: Tokens) -> float | None:
        return self._price(tokens)

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        times = self._endpoint.times
        begun = asyncio.Event()
        try:
            async with asyncio.timeout(times.call_s):
                if self._endpoint.stream:
                    response = await self._stream(question, hear, begun)
                else:
                    response = await self._plain(question)
            return self._answer(question, response)
        except TimeoutError:
            words = "stopped in the middle of its answer" if begun.is_set() else "does not answer in time"
            raise self._failure(words, Then.AGAIN, "timeout", may_cost=True) from None
        except ModelHTTPError as error:
            raise self._refused(error) from None
        except ModelAPIError as error:
            if status := _redirect(error):
                words = f"answers with a redirect ({status}), which is not followed. Set its own address"
                raise self._failure(words, Then.ELSEWHERE, f"http_{status}") from None
            words = f"cannot be reached or broke off: {self._quote(list(_causes(error))[-1])}"
            raise self._failure(words, Then.AGAIN, "connection", may_cost=not _never_sent(error)) from None
        # A server may answer anything, such as HTML, or an error with status 200: the library raises these.
        except (
            UnexpectedModelBehavior,
            OpenAIError,
            httpx2.HTTPError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
        ) as error:
            words = f"sent an answer that is not valid: {self._quote(error)}"
            raise self._failure(words, Then.AGAIN, "bad_answer", may_cost=True) from None

    async def _plain(self, question: Question) -> ModelResponse:
        messages, settings, parameters = self._request(question)
        return await model_request(
            self._library, messages, model_settings=settings, model_request_parameters=parameters
        )

    async def _stream(self, question: Question, hear: Hear | None, begun: asyncio.Event) -> ModelResponse:
        messages, settings, parameters = self._request(question)
        times, loop = self._endpoint.times, asyncio.get_running_loop()
        text, size, calls = "", 0, 0
        # The time limit includes opening the stream, because that may wait for the first piece. Comments that
        # keep a connection alive are not events and do not count as progress.
        async with (
            asyncio.timeout(times.first_token_s) as limit,
            model_request_stream(
                self._library, messages, model_settings=settings, model_request_parameters=parameters
            ) as stream,
        ):
            async for event in stream:
                begun.set()
                limit.reschedule(loop.time() + times.gap_s)
                piece, spoken = _piece(event)
                size += len(piece)
                calls += isinstance(event, PartStartEvent) and isinstance(event.part, ToolCallPart)
                if spoken and piece and hear is not None:
                    text += piece
                    hear(text)
                if size > MAX_ANSWER_CHARS or calls > MAX_CALLS:
                    break
            response = stream.get()
        if size > MAX_ANSWER_CHARS or calls > MAX_CALLS:
            response.finish_reason = "length"
        return response

    def _request(
        self, question: Question
    ) -> tuple[list[ModelMessage], ModelSettings, ModelRequestParameters]:
        tools = [
            ToolDefinition(
                name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
            )
            for tool in question.tools
        ]
        instructions = question.instructions
        parameters = ModelRequestParameters(function_tools=tools)
        if question.schema is not None:
            schema = dict(question.schema)
            match self._endpoint.schema_mode:
                case "native":
                    wanted = OutputObjectDefinition(json_schema=schema, name=SCHEMA_NAME, strict=False)
                    parameters = ModelRequestParameters(output_mode="native", output_object=wanted)
                case "tool":
                    takes = ToolDefinition(
                        name=ANSWER_TOOL, description="Give your answer.", parameters_json_schema=schema
                    )
                    parameters = ModelRequestParameters(
                        output_mode="tool", output_tools=[takes], allow_text_output=False
                    )
                case "prompted":
                    wanted_json = orjson.dumps(schema).decode()
                    instructions += f"\n\nAnswer with one JSON object that fits this schema:\n{wanted_json}"
        messages = to_library(question.messages, instructions, self.name)
        return messages, ModelSettings(max_tokens=question.max_tokens), parameters

    def _answer(self, question: Question, response: ModelResponse) -> Answer:
        text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
        calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
        if question.schema is not None:
            text = next((_arguments(call) for call in calls if call.tool_name == ANSWER_TOOL), text)
            calls = []
        usage = response.usage
        told = usage.input_tokens or usage.output_tokens
        finish = response.finish_reason or "stop"
        return Answer(
            text=clip(text, MAX_ANSWER_CHARS),
            model=self.name,
            calls=tuple(
                ToolCall(f"call{place}", clip(call.tool_name, 100), clip(_arguments(call), MAX_ANSWER_CHARS))
                for place, call in enumerate(calls)
            ),
            tokens=Tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) if told else None,
            finish_reason="tool_calls" if finish == "tool_call" else finish,
            thoughts=thoughts_of(response, self.name),
        )

    def _refused(self, error: ModelHTTPError) -> ModelUnavailable:
        status = error.status_code
        outcome = f"http_{status}"
        if status in (401, 403):
            words = f"refuses our key ({status}). Check the key in the environment"
            return self._failure(words, Then.ELSEWHERE, outcome)
        words = f"answered {status}: {self._quote(error.body)}"
        if _is_quota(error):
            return self._failure(f"has no credit left: {words}", Then.ELSEWHERE, outcome)
        then = _THEN.get(status, Then.NOTHING if status in NEVER_AGAIN else Then.AGAIN)
        return self._failure(words, then, outcome, may_cost=error.in_stream, retry_after=error.retry_after)

    def _failure(
        self,
        words: str,
        then: Then,
        outcome: str,
        *,
        may_cost: bool = False,
        retry_after: float | None = None,
    ) -> ModelUnavailable:
        return ModelUnavailable(
            f"{self.name} {words}.", then=then, outcome=outcome, may_cost=may_cost, retry_after=retry_after
        )

    def _quote(self, said: object) -> str:
        """What a server or the library said: shortened, on one line, without our key."""
        if isinstance(said, Mapping):
            said = said.get("message") or said.get("error") or said
        words = re.sub(r"\s+", " ", clean(str(said)))
        if self._secret:
            words = words.replace(self._secret, "…")
        return clip(words, QUOTED_CHARS).rstrip(".")


def open_openai(
    name: str,
    *,
    base_url: str,
    key: str,
    endpoint: Endpoint,
    price: Callable[[Tokens], float | None],
) -> Provider:
    """A model behind the chat completions API: OpenAI's, or with `base_url` that of another server."""
    url = base_url or "https://api.openai.com/v1"
    client = AsyncOpenAI(
        base_url=url,
        api_key=key or "none",
        max_retries=0,
        http_client=open_client(endpoint.times, url),
    )
    library = OpenAIChatModel(
        name,
        provider=OpenAIProvider(openai_client=client),
        profile=COMPATIBLE if base_url else OPENAI,
    )
    return Provider(f"openai:{name}", library, endpoint, price, key)


def _piece(event: object) -> tuple[str, bool]:
    """The new characters of an event, and whether they are spoken text."""
    match event:
        case (
            PartStartEvent(part=TextPart(content=text))
            | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
        ):
            return text, True
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str() as text)):
            return text, False
        case (
            PartStartEvent(part=ToolCallPart(args=str() as text) | ThinkingPart(content=text))
            | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str() as text))
        ):
            return text, False
    return "", False


def _arguments(call: ToolCallPart) -> str:
    return call.args if isinstance(call.args, str) else orjson.dumps(call.args or {}).decode()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes, the first cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _redirect(error: BaseException) -> int:
    """The status of a redirect; 0 if there was none."""
    found = (getattr(cause, "status_code", 0) for cause in _causes(error))
    return next((status for status in found if 300 <= status < 400), 0)


def _never_sent(error: BaseException) -> bool:
    """Whether there was no connection to send the request over."""
    return any(isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout) for cause in _causes(error))


def _is_quota(error: ModelHTTPError) -> bool:
    return error.status_code == 429 and "insufficient_quota" in str(error.body)

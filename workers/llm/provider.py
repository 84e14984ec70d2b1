"""A real model behind the `Model` protocol. pydantic-ai translates one request and nothing more.

Tool loops, retries, fallback, limits and budgets are ours. Types of the library are used only in this module,
`asking`, `answers`, `failures`, `translation` and `claude`. Only a worker with a real model imports these,
because that takes two seconds. The library's version is pinned; `tests/llm` tests what it does with odd
answers.

What servers do otherwise than they should is in `learned` (what their refusals teach: `Provider.learned`),
`chat` (their JSON), `thinking` (thoughts in texts), `schemas` (what they can compile) and `failures` (their
errors).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx2
from openai import AsyncOpenAI, OpenAIError
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UnexpectedModelBehavior, UserError
from pydantic_ai.messages import ModelResponse, PartStartEvent, ToolCallPart
from pydantic_ai.models import Model as LibraryModel
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.openrouter import OpenRouterModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider as LibraryProvider
from pydantic_ai.providers.deepseek import DeepSeekProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openrouter import OpenRouterProvider
from pydantic_ai.settings import ModelSettings

from app.domain.vendors import VENDORS
from workers.llm.answers import (
    MAX_ANSWER_CHARS,
    MAX_CALLS,
    answer_of,
    cut_off_by_thoughts,
    is_thinking,
    piece,
    thought,
    tokens_of,
)
from workers.llm.asking import THINKING, Asked, asked
from workers.llm.chat import EXCHANGE
from workers.llm.client import open_client
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.failures import BAD_SAMPLE, Speaker, text_of
from workers.llm.learned import Learned
from workers.llm.model import Answer, Hear, ModelUnavailable, Question, Then, Tokens
from workers.llm.thinking import spoken
from workers.llm.vendors import Server

REFUSALS = frozenset({400, 404, 415, 422, 500, 501})
"""Statuses of refusals that may name what to change in the request."""

BYTES_A_TOKEN = 2
"""Of an answer of which no bill came. Fewer than a token has."""

UNMARKED = ("\0thoughts", "\0/thoughts")
"""Marks that never come: `thinking` finds thoughts in texts itself, since the library misses most."""

COMPATIBLE = OpenAIModelProfile(
    openai_supports_strict_tool_definition=False,
    openai_chat_supports_max_completion_tokens=False,
    openai_chat_supports_multiple_system_messages=False,
    openai_chat_streaming_requires_finish_reason=True,
    supports_json_schema_output=True,
    supports_json_object_output=True,
    supports_thinking=True,
    thinking_tags=UNMARKED,
)
"""What any server with OpenAI's chat completions API can be expected to support."""

OPENAI = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True, thinking_tags=UNMARKED)
"""OpenAI itself: the library knows its models. A stream that ends without a reason is never taken for an
answer."""

STRICT = ("anthropic", "bedrock")
"""Wires on which a schema for answers is always strict. Ours are not: the JSON that a check expects may be
anything. As a tool's they are taken."""

ERRORS: tuple[type[Exception], ...] = (
    TimeoutError,
    ModelAPIError,
    UnexpectedModelBehavior,
    UserError,
    OpenAIError,
    httpx2.HTTPError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
)
"""A server may answer anything, such as HTML, or an error with status 200: the library raises the last ones
of these."""


class Provider:
    """`workers.llm.model.Model` on a model of the library. `secret` is removed from all messages; `learned`
    is what was learned of the server. `wire` names its API; what is said by `chat` is mended. `errors` are
    those of its client that the library lets through. `caching` is how this wire is told to cache what a tool
    loop sends again with each turn; without it nothing is said, as most servers cache by themselves."""

    def __init__(
        self,
        name: str,
        library: LibraryModel,
        endpoint: Endpoint,
        price: Callable[[Tokens], float | None],
        secret: str,
        wire: str = "chat",
        errors: tuple[type[Exception], ...] = (),
        caching: ModelSettings | None = None,
    ) -> None:
        self.name = name
        self.learned = Learned(name)
        self._library = library
        self._endpoint = endpoint
        self._price = price
        self._speaker = Speaker(name, secret)
        self._wire = wire
        self._errors = (*ERRORS, *errors)
        self._caching = caching or ModelSettings()
        takes_schemas = library.profile.get("supports_json_schema_output") and wire not in STRICT
        if endpoint.schema_mode == "native" and not takes_schemas:
            self.learned.mode = "tool"
        if endpoint.reasoning is not None:
            self.learned.room = THINKING[endpoint.reasoning][1]

    def price(self, tokens: Tokens) -> float | None:
        return self._price(tokens)

    @property
    def room(self) -> int:
        """See `calling.Thinks`."""
        return self.learned.room

    @property
    def times(self) -> TimeLimits:
        return self._endpoint.times

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        made = asked(question, self._endpoint, self.learned, self._thinker)
        if question.tools:
            made.settings |= self._caching
        token = EXCHANGE.set(made.exchange if self._wire == "chat" else None)
        try:
            async with asyncio.timeout(self._endpoint.times.call_s):
                if self._endpoint.stream and "stream" not in self.learned.left_out:
                    response = await self._stream(made, hear)
                else:
                    response = await self._plain(made)
            answer = answer_of(made, response, self.name, self._thinker)
        except self._errors as error:
            raise self._failure(made, error) from None
        finally:
            EXCHANGE.reset(token)
        self._learn(made, response, answer)
        return answer

    async def _plain(self, made: Asked) -> ModelResponse:
        return await model_request(
            self._library,
            made.messages,
            model_settings=made.settings,
            model_request_parameters=made.parameters,
        )

    async def _stream(self, made: Asked, hear: Hear | None) -> ModelResponse:
        times, loop = self._endpoint.times, asyncio.get_running_loop()
        text, calls = "", 0
        # The time limit includes opening the stream, because that may wait for the first piece. Comments that
        # keep a connection alive are not events and do not count as progress.
        async with (
            asyncio.timeout(times.first_token_s) as limit,
            model_request_stream(
                self._library,
                made.messages,
                model_settings=made.settings,
                model_request_parameters=made.parameters,
            ) as stream,
        ):
            try:
                async for event in stream:
                    made.begun = True
                    limit.reschedule(loop.time() + times.gap_s)
                    new, is_spoken = piece(event)
                    made.heard += len(new)
                    calls += isinstance(event, PartStartEvent) and isinstance(event.part, ToolCallPart)
                    if is_spoken and new and hear is not None:
                        text += new
                        hear(spoken(text))
                    if made.heard > MAX_ANSWER_CHARS or calls > MAX_CALLS:
                        made.is_flood = True
                        break
            finally:
                made.billed = tokens_of(stream.usage)
            response = stream.get()
        if made.is_flood:
            response.finish_reason = "length"
        return response

    @property
    def _thinker(self) -> str:
        """To whom thoughts come back: they are of no use on another wire, even to the same model."""
        return f"{self._wire}/{self.name}"

    def _failure(self, made: Asked, error: Exception) -> ModelUnavailable:
        failure, quote = self._speaker.failure, self._speaker.quote
        match error:
            case TimeoutError():
                words = "stopped in the middle of its answer" if made.begun else "does not answer in time"
                found = failure(words, Then.AGAIN, "timeout", may_cost=True)
            case ModelHTTPError() if self._learns(made, error):
                words = f"has refused a request, which is sent otherwise: {quote(error.body)}"
                return failure(words, Then.AT_ONCE, f"http_{error.status_code}")
            case ModelHTTPError():
                found = self._speaker.refused(error)
            case ModelAPIError():
                found = self._speaker.unreachable(error)
            case _:
                words = f"sent an answer that is not valid: {quote(error)}"
                found = failure(words, Then.AGAIN, "bad_answer", may_cost=True)
        if found.may_cost and made.heard and not self.learned.thinks_unseen:
            heard = min(made.heard // BYTES_A_TOKEN + 1, made.limit)
            billed = made.billed or Tokens()
            found.spent = replace(billed, output=max(heard, billed.output))
        return found

    def _learns(self, made: Asked, error: ModelHTTPError) -> bool:
        """Whether the refusal says how to ask otherwise."""
        text = text_of(error)
        # What a model has written and its server has thrown away may say anything.
        if error.status_code not in REFUSALS or error.in_stream or BAD_SAMPLE.search(text):
            return False
        return self.learned.refused(made.refusal(text, _field(error.body)))

    def _learn(self, made: Asked, response: ModelResponse, answer: Answer) -> None:
        """Learn from an answer. Raises ModelUnavailable if it is asked for again, with more room for
        thoughts."""
        learned = self.learned
        if answer.tokens is not None:
            learned.answered(made.size, answer.tokens.input)
        seen, billed = thought(response), response.usage.details.get("reasoning_tokens")
        learned.thinks |= bool(seen or billed) or is_thinking(response)
        learned.thinks_unseen |= bool(billed) and not seen
        if made.is_flood or not cut_off_by_thoughts(made, response, answer, learned.room):
            return
        room = learned.more_room()
        wanted = made.question.max_tokens - learned.room + (room or 0)
        longest = self._endpoint.longest
        if room is None or learned.most(min(wanted, longest or wanted), made.size) <= made.limit:
            return
        learned.room = room
        learned.tell(f"it needs room for thoughts: {room} tokens beside an answer's own")
        words = "was cut off by its own thoughts, and is asked again with more room for them"
        failed = self._speaker.failure(words, Then.AT_ONCE, "no_room", may_cost=True)
        failed.spent = answer.tokens
        raise failed


def _field(body: object) -> str:
    """The field that a refusal names."""
    if not isinstance(body, Mapping):
        return ""
    if isinstance(param := body.get("param"), str):
        return param
    detail = body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else {}
    return ".".join(map(str, first.get("loc", ()))) if isinstance(first, Mapping) else ""


def open_model(
    kind: str, name: str, server: Server, endpoint: Endpoint, price: Callable[[Tokens], float | None]
) -> Provider:
    """A model of a vendor that speaks chat completions. Raises UnusableProxy."""
    client = AsyncOpenAI(
        base_url=server.url,
        api_key=server.key or "none",
        max_retries=0,
        http_client=open_client(endpoint.times, server.url),
    )
    library, caching = _LIBRARY[kind](name, client), _CACHING.get(kind)
    return Provider(f"{kind}:{name}", library, endpoint, price, server.key, caching=caching)


def open_openai(
    name: str,
    *,
    base_url: str,
    key: str,
    endpoint: Endpoint,
    price: Callable[[Tokens], float | None],
) -> Provider:
    """A model behind a server of one's own with the chat completions API, or with no `base_url` OpenAI's."""
    server = Server(base_url or VENDORS["openai"].usual, key)
    return open_model("openai", name, server, endpoint, price)


def _compatible(name: str, client: AsyncOpenAI) -> OpenAIChatModel:
    own = str(client.base_url).rstrip("/") == VENDORS["openai"].usual
    return OpenAIChatModel(
        name, provider=OpenAIProvider(openai_client=client), profile=OPENAI if own else COMPATIBLE
    )


def _known(
    model: type[OpenAIChatModel], vendor: Callable[..., LibraryProvider[AsyncOpenAI]]
) -> Callable[[str, AsyncOpenAI], OpenAIChatModel]:
    """For vendors whose ways the library knows."""

    def make(name: str, client: AsyncOpenAI) -> OpenAIChatModel:
        return model(name, provider=vendor(openai_client=client), profile=OPENAI)

    return make


_LIBRARY: Mapping[str, Callable[[str, AsyncOpenAI], OpenAIChatModel]] = {
    "openai": _compatible,
    "mistral": _compatible,
    "groq": _compatible,
    "openrouter": _known(OpenRouterModel, OpenRouterProvider),
    "deepseek": _known(OpenAIChatModel, DeepSeekProvider),
    "ollama": _known(OllamaModel, OllamaProvider),
}

_CACHING = {"openrouter": ModelSettings(cache=True)}
"""The library knows which of its models take the marks."""

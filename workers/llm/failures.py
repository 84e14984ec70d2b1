"""What a failed request means: words for people, whether and when to ask again, and what it may have cost."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import httpx2
import orjson
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError

from app.domain.values import clean, clip
from workers.llm.model import ModelUnavailable, Then

QUOTED_CHARS = 200
BLANKED_CHARS = 12
"""A key of so many characters is blanked wherever it stands; a shorter one as a word only, since it may be
`x`."""

LOADING = re.compile(
    r"loading model|model is (?:still |currently )?(?:being )?load|warming up|starting up|cold start", re.I
)
NO_CREDIT = re.compile(
    r"insufficient_quota|insufficient (?:balance|credit)|billing_hard_limit|credit balance", re.I
)
BAD_SAMPLE = re.compile(
    r"tool_use_failed|json_validate_failed|output_parse_failed|malformed[ _]function|"
    r"failed to (?:call a function|generate json|validate json)|"
    r"(?:failed to|could not) parse (?:tool|function|the model|input at|model output)",
    re.I,
)
"""A server has thrown away what its model wrote, which is asked for again."""

CONTEXT = re.compile(
    r"context (?:length|size|window)|n_ctx|too many tokens|prompt is too long|must be <=", re.I
)
NO_TOOLS = re.compile(
    r"not support (?:tools|function)|tool.?choice.*requires|tool-call-parser|enable-auto-tool", re.I
)

HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        NO_TOOLS,
        "The Builder needs tools: choose a model that takes them, or start its server with its tool parser",
    ),
    (
        CONTEXT,
        "Its context is too small for this request: give the server a larger one (vLLM --max-model-len, "
        "llama.cpp --ctx-size, Ollama OLLAMA_CONTEXT_LENGTH), or set MODEL_MAX_TOKENS lower",
    ),
)
"""What the operator can do about a refusal that says this."""

THEN: dict[int, Then] = {
    400: Then.NOTHING,
    401: Then.ELSEWHERE,
    402: Then.ELSEWHERE,
    403: Then.ELSEWHERE,
    404: Then.ELSEWHERE,
    405: Then.NOTHING,
    413: Then.NOTHING,
    415: Then.NOTHING,
    422: Then.NOTHING,
    429: Then.LATER,
    503: Then.LATER,
    529: Then.LATER,
}
"""What to do after a status. After others the same is asked again a few times."""


class Speaker:
    """Words of failures of the model `name`, without its `secret`."""

    def __init__(self, name: str, secret: str) -> None:
        self._name = name
        whole = re.escape(secret)
        edged = whole if len(secret) >= BLANKED_CHARS else rf"(?<!\w){whole}(?!\w)"
        self._secret = re.compile(edged) if secret else None

    def failure(
        self,
        words: str,
        then: Then,
        outcome: str,
        *,
        may_cost: bool = False,
        retry_after: float | None = None,
    ) -> ModelUnavailable:
        return ModelUnavailable(
            f"{self._name} {words}.", then=then, outcome=outcome, may_cost=may_cost, retry_after=retry_after
        )

    def refused(self, error: ModelHTTPError) -> ModelUnavailable:
        """A status that is no answer."""
        status, text = error.status_code, text_of(error)
        outcome = f"http_{status}"
        if status in (401, 403):
            words = f"refuses our key ({status}). Check the key in the environment"
            return self.failure(words, Then.ELSEWHERE, outcome)
        words = f"answered {status}: {self.quote(error.body)}"
        if NO_CREDIT.search(text):
            return self.failure(f"has no credit left: {words}", Then.ELSEWHERE, outcome)
        if BAD_SAMPLE.search(text):
            return self.failure(words, Then.AGAIN, "bad_sample", may_cost=True)
        if status >= 400 and LOADING.search(text):
            return self.failure(words, Then.LATER, "loading", retry_after=delay(error))
        if hint := next((hint for pattern, hint in HINTS if pattern.search(text)), ""):
            words = f"{words}. {hint}"
        then = THEN.get(status, Then.AGAIN)
        return self.failure(words, then, outcome, may_cost=error.in_stream, retry_after=delay(error))

    def unreachable(self, error: ModelAPIError) -> ModelUnavailable:
        """There was no answer, or it broke off."""
        if status := _redirect(error):
            words = f"answers with a redirect ({status}), which is not followed. Set its own address"
            return self.failure(words, Then.ELSEWHERE, f"http_{status}")
        words = f"cannot be reached or broke off: {self.quote(list(_causes(error))[-1])}"
        if _never_sent(error):
            return self.failure(words, Then.LATER, "connection")
        return self.failure(words, Then.AGAIN, "connection", may_cost=True)

    def quote(self, said: object) -> str:
        """What a server or the library said: shortened, on one line, without our key."""
        if isinstance(said, Mapping):
            said = said.get("message") or said.get("error") or said
        words = re.sub(r"\s+", " ", clean(str(said)))
        if self._secret:
            words = self._secret.sub("…", words)
        return clip(words, QUOTED_CHARS).rstrip(".")


def text_of(error: ModelHTTPError) -> str:
    """All that the server said: the SDKs pass on a part of it."""
    if isinstance(response := getattr(error.__cause__, "response", None), httpx2.Response):
        return response.text
    try:
        return orjson.dumps(error.body).decode() if not isinstance(error.body, str) else error.body
    except TypeError:
        return str(error.body)


_UNITS = (("ms", 0.001), ("m", 60.0), ("h", 3600.0), ("", 1.0))
"""How a unit begins, and its seconds."""

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|minutes?|min|m|h|seconds?|secs?|s)?", re.I)
_DELAY = re.compile(
    r"(?:(?:retry|try)(?: again)?|retry[_-]?delay|retry[_-]after|wait|available|reset)s?['\"]?"
    r"(?: (?:for|in|after|another|about))*['\"]?\s*:?\s*['\"]?"
    r"((?:\d+(?:\.\d+)?\s*(?:ms|minutes?|min|m|h|seconds?|secs?|s)?\s*)+)",
    re.I,
)
_ESTIMATE = re.compile(r"estimated_time['\"]?\s*:\s*(\d+(?:\.\d+)?)", re.I)
_RESET = re.compile(r"rate-?limit-.*reset|ratelimit-reset|^x-ratelimit-reset", re.I)


def delay(error: ModelHTTPError) -> float | None:
    """The seconds that the server asks to wait, in a header or in words; None if it does not say."""
    if error.retry_after is not None:
        return error.retry_after
    text = text_of(error)
    if found := _DELAY.search(text):
        return _seconds(found[1])
    if found := _ESTIMATE.search(text):
        return float(found[1])
    headers = error.headers or {}
    resets = [_until(value) for name, value in headers.items() if _RESET.search(name)]
    known = [seconds for seconds in resets if seconds is not None]
    return max(known) if known and error.status_code == 429 else None


def _seconds(words: str) -> float:
    return sum(float(number) * _unit(unit.lower()) for number, unit in _PART.findall(words))


def _unit(unit: str) -> float:
    return next(seconds for start, seconds in _UNITS if unit.startswith(start))


def _until(value: str) -> float | None:
    """Seconds until a limit is reset: a duration, a moment, or seconds or milliseconds since 1970."""
    now = datetime.now(UTC)
    try:
        number = float(value)
    except ValueError:
        try:
            return max(0.0, (datetime.fromisoformat(value) - now).total_seconds())
        except (ValueError, TypeError):
            return _seconds(value) if re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+", value) else None
    if number > 1e11:
        number /= 1000
    return number if number < 1e8 else max(0.0, number - now.timestamp())


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

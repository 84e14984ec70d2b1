"""What was learned of a server from its refusals and answers: one `Learned` for each model at its address,
kept by its `Provider` for the life of the process, told once in the log.

A refusal that names its cure is not a failure: `Learned.refused` learns the cure and the request is sent
again at once. `CURES` is the table of what can be learned; `chat`, `schemas` and `provider` read it from
here. A cure is learned once, so asking again ends.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import structlog

from workers.llm.endpoint import SchemaMode

log = structlog.get_logger()

ROOMS = (4_000, 16_000, 48_000)
"""Tokens for thoughts beside the answer's own, one after the other, as long as thoughts cut answers off."""

LEAST_ANSWER = 256
"""A context that leaves fewer tokens for the answer is too small for the request."""

MOST_BYTES_A_TOKEN, LEAST_WINDOW = 6, 1_000
"""A request of more bytes for each token that was billed was not read as a whole. Smaller bills say
nothing."""

BYTES_A_TOKEN = 3.0
"""Of a request, until a server has said how many tokens one had."""


@dataclass
class Learned:
    """`renamed`: fields of a request that have another name here. `left_out`: fields that are refused.
    `kept_back`: fields of earlier answers that must not come back. `mode`: how typed answers are asked for,
    if not as set. `no_system`: instructions have to stand in the first message of the user.

    `limit`: the most tokens of an answer. `context`: tokens of a request and its answer together;
    `bytes_a_token` measures requests against it. `room`: tokens for thoughts beside an answer. `effort`: the
    name that `reasoning_effort` has to have instead of what is set.

    `thinks`: it has thought before an answer. `thinks_unseen`: its bill has counted thoughts that were not
    sent. `cuts_prompts`: it reads only a part of long requests. `times` grows with everything learned; `told`
    is all of it in words."""

    name: str
    renamed: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    kept_back: set[str] = field(default_factory=set)
    mode: SchemaMode | None = None
    no_system: bool = False
    limit: int | None = None
    context: int | None = None
    bytes_a_token: float = BYTES_A_TOKEN
    room: int = 0
    effort: str = ""
    thinks: bool = False
    thinks_unseen: bool = False
    cuts_prompts: bool = False
    times: int = 0
    told: list[str] = field(default_factory=list)
    _prompts: list[tuple[int, int]] = field(default_factory=list)

    def refused(self, refusal: "Refusal") -> bool:
        """Whether the same question can be asked again at once, because something was learned."""
        if self.times != refusal.known:
            return True  # another request has learned it meanwhile
        for cure in CURES:
            if (words := cure(self, refusal)) is not None:
                self.tell(words, refusal.text)
                return True
        return False

    def tell(self, words: str, said: str = "") -> None:
        """Count and log what was learned."""
        self.times += 1
        self.told.append(words)
        log.warning("model.learned", model=self.name, learned=words, said=said[:200])

    def more_room(self) -> int | None:
        """The next greater room for thoughts."""
        return next((room for room in ROOMS if room > self.room), None)

    def most(self, wanted: int, size: int) -> int:
        """The most tokens to ask for, of `wanted`, in a request of `size` bytes. At least 1."""
        if self.limit is not None:
            wanted = min(wanted, self.limit)
        if self.context is not None:
            wanted = min(wanted, self.context - round(size / self.bytes_a_token) - 64)
        return max(wanted, 1)

    def answered(self, size: int, tokens: int) -> None:
        """A request of `size` bytes was billed as `tokens`. Tells when servers cut prompts at a window of
        their own without a word: their bill stands still while prompts grow."""
        self._prompts = [*self._prompts[-2:], (size, tokens)]
        sizes, billed = zip(*self._prompts, strict=True)
        grows = all(later > 1.1 * before for before, later in pairwise(sizes))
        stands = min(billed) >= 0.98 * max(billed) and sizes[-1] > MOST_BYTES_A_TOKEN * max(billed)
        if len(sizes) == 3 and grows and stands and max(billed) >= LEAST_WINDOW and not self.cuts_prompts:
            self.cuts_prompts = True
            self.tell(
                f"it reads only the last {max(billed)} tokens of longer requests: give its server a larger "
                "context (OLLAMA_CONTEXT_LENGTH, --ctx-size, --max-model-len)"
            )


@dataclass(frozen=True)
class Refusal:
    """A server's refusal of a request. `text` is all it said, `field` the field it names itself, `sent` are
    the names of the request's fields and `back` those of earlier answers in it, `limit` the tokens it asked
    for and `size` its bytes; `known` is `Learned.times` when it was sent. `typed` is whether a typed answer
    was asked for, and how."""

    text: str
    field: str
    sent: frozenset[str]
    back: frozenset[str]
    limit: int
    size: int
    known: int
    typed: SchemaMode | None
    effort: str = ""


Cure = Callable[[Learned, Refusal], str | None]
"""Learns from the refusal, and says what in a few words; None if it does not apply or was known."""

_REFUSES = re.compile(
    r"unsupported|not (?:\w+ )?support|unknown|unrecogni[sz]ed|unexpected|extra|forbidden|not permitted|"
    r"not allowed|invalid|cannot find|unavailable|disallowed|deprecated|additional propert|"
    r"does not (?:accept|take|exist)|must not|no such|remove",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:parameters?|argument(?: supplied)?|propert(?:y|ies)|field|name|keys?)\s*(?:are|is)?\s*[:=]?\s*"
    r"[({\[]*['\"`]?([a-z_]+)['\"`]?",
    re.IGNORECASE,
)
OPTIONAL = ("stream_options", "parallel_tool_calls", "tool_choice", "reasoning_effort", "stream")
"""Fields of a request without which it is still the same question."""

_NO_STREAMS = re.compile(r"^stream\b|['\"`]stream\\?['\"`]|not support stream|streaming is not", re.I)
"""`stream` is also a word of any sentence on streams."""

_LIMIT = re.compile(
    r"max[_ ]?(?:completion|output|new)?[_ ]?tokens?|maximum (?:number of )?(?:output )?tokens", re.I
)
_TOO_HIGH = re.compile(r"large|exceed|range|at most|less than|greater|maximum|must be|limit|<|>", re.I)
_NUMBER = re.compile(r"(?<![\w.-])\d[\d,]*(?![\w-])")
_CONTEXT = re.compile(
    r"(?:context (?:length|size|window)(?: of)?(?: is)?|must be <=|n_ctx['\"]?\s*[:=])\D{0,30}(\d[\d,]{2,})",
    re.I,
)
_PROMPT = re.compile(
    r"(\d[\d,]*)\s+(?:tokens )?(?:in|from) the (?:input )?(?:messages|prompt)|"
    r"(\d[\d,]*)\s+`?(?:input|prompt)s?`? tokens|"
    r"n_prompt_tokens['\"]?\s*[:=]\s*(\d+)|request \((\d+) tokens\)",
    re.I,
)
_SCHEMA = re.compile(r"response_format|json.?schema|grammar|structured.?output|guided|output_format", re.I)
_SYSTEM = re.compile(
    r"(?:system|developer)\W*(?:role|message|instruction)s?\b.*(?:not|unsupported)|role.*system.*not", re.I
)
_EFFORT = re.compile(r"reasoning[_. ]?effort|thinking", re.I)
_LISTED = re.compile(r"(?:supported values|one of|should be|allowed|are)\b(.*)", re.I | re.S)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_NEXT_MODE: dict[SchemaMode, SchemaMode] = {"native": "tool", "tool": "prompted"}


def _int(digits: str) -> int:
    return int(digits.replace(",", ""))


def _context(learned: Learned, refusal: Refusal) -> str | None:
    """The server's context is too small for prompt and answer together: less is asked for."""
    found = _CONTEXT.search(refusal.text)
    if found is None:
        return None
    context = _int(found[1])
    prompt = _PROMPT.search(refusal.text)
    counted = next((_int(group) for group in prompt.groups() if group), 0) if prompt else 0
    if learned.context == context or not counted or "at least" in refusal.text:
        ratio = 0.8 * learned.bytes_a_token  # it has more tokens than was thought
    else:
        ratio = refusal.size / counted
    if context - refusal.size / ratio - 64 < LEAST_ANSWER:
        return None
    learned.context, learned.bytes_a_token = context, ratio
    return f"its context has {context} tokens: answers are asked for that fit into it"


def _limit(learned: Learned, refusal: Refusal) -> str | None:
    """The limit is too high: the greatest number below it that the refusal names is what it may be."""
    if not _LIMIT.search(refusal.text) or not _TOO_HIGH.search(refusal.text) or _CONTEXT.search(refusal.text):
        return None
    allowed = [
        number - ("exclusive" in refusal.text)
        for number in map(_int, _NUMBER.findall(refusal.text))
        if LEAST_ANSWER <= number < refusal.limit
    ]
    if not allowed or (learned.limit is not None and max(allowed) >= learned.limit):
        return None
    learned.limit = max(allowed)
    return f"answers may have {learned.limit} tokens at most"


def _limits_name(learned: Learned, refusal: Refusal) -> str | None:
    """`max_tokens` is called `max_completion_tokens`, or the other way round."""
    refused = _named(refusal, refusal.sent & {"max_tokens", "max_completion_tokens"})
    if refused is None:
        return None
    other = "max_completion_tokens" if refused == "max_tokens" else "max_tokens"
    if refused in learned.renamed.values():
        learned.left_out.add(refused)
        return "answers' lengths cannot be limited"
    learned.renamed = {refused: other}
    return f"{refused} is called {other}"


def _effort(learned: Learned, refusal: Refusal) -> str | None:
    """Another effort is taken, which the refusal names."""
    if "reasoning_effort" not in refusal.sent or not _EFFORT.search(refusal.text) or learned.effort:
        return None
    listed = _LISTED.search(refusal.text)
    named = set(re.findall(r"\w+", listed[1])) if listed else set()
    allowed = [effort for effort in EFFORTS if effort in named]
    if not allowed:
        return None
    wanted = EFFORTS.index(refusal.effort) if refusal.effort in EFFORTS else 0
    learned.effort = min(allowed, key=lambda effort: abs(EFFORTS.index(effort) - wanted))
    return f"reasoning efforts are {', '.join(allowed)}"


def _back(learned: Learned, refusal: Refusal) -> str | None:
    """A field of an earlier answer is not taken back."""
    refused = _named(refusal, sorted(refusal.back - learned.kept_back, key=len, reverse=True))
    if refused is None:
        return None
    learned.kept_back.add(refused)
    return f"{refused} of its own answers is not sent back"


def _optional(learned: Learned, refusal: Refusal) -> str | None:
    """A field is refused that can be left out."""
    refused = _named(refusal, [name for name in OPTIONAL if name in refusal.sent - learned.left_out])
    if refused == "stream" and not _NO_STREAMS.search(f"{refusal.field} {refusal.text}"):
        return None
    if refused is None:
        return None
    learned.left_out.add(refused)
    return f"{refused} is not sent"


def _schema(learned: Learned, refusal: Refusal) -> str | None:
    """Typed answers have to be asked for in another way."""
    if refusal.typed not in _NEXT_MODE or not _SCHEMA.search(refusal.text + refusal.field):
        return None
    learned.mode = _NEXT_MODE[refusal.typed]
    return f"typed answers are asked for by MODEL_SCHEMA={learned.mode}"


def _system(learned: Learned, refusal: Refusal) -> str | None:
    """Instructions cannot be a message of their own."""
    if learned.no_system or not _SYSTEM.search(refusal.text):
        return None
    learned.no_system = True
    return "instructions stand in the first message"


def _named(refusal: Refusal, names: Iterable[str]) -> str | None:
    """Which of `names` is refused: the one that the server names as the field, else the first that the text
    names as one, else the first in the text, if it refuses something."""
    candidates = list(names)
    path = re.split(r"\W+", refusal.field)
    as_fields: list[str] = _NAMED.findall(refusal.text) if _REFUSES.search(refusal.text) else []
    for name in (*path, *as_fields):
        if name in candidates:
            return name
    if not _REFUSES.search(refusal.text):
        return None
    found = [re.search(rf"(?<!\w){re.escape(name)}(?!\w)", refusal.text) for name in candidates]
    standing = sorted((place.start(), place[0]) for place in found if place)
    return standing[0][1] if standing else None


CURES: tuple[Cure, ...] = (
    _context,
    _limit,
    _limits_name,
    _effort,
    _back,
    _optional,
    _schema,
    _system,
)
"""In this order, from the narrowest to the widest: a refusal for a number also names the field."""

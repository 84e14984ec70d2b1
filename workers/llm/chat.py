"""What servers with OpenAI's chat completions do otherwise than OpenAI, mended in the JSON of a request and
of its answer, below the libraries. `client` calls it for each request; `learned` says what a server does not
take."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson

from workers.llm.learned import Learned

Json = dict[str, Any]

KNOWN_OF_MESSAGE = frozenset(
    {"role", "content", "tool_calls", "function_call", "refusal", "annotations", "audio", "name"}
)
THOUGHTS = frozenset({"reasoning", "reasoning_content"})
"""Fields for thoughts, which the library reads and sends back."""

KNOWN_OF_CALL = frozenset({"id", "index", "type", "function"})
MAX_KEPT_BYTES = 200_000
"""Of fields that a server wants to have back. More is not kept."""


@dataclass
class Call:
    """A tool call as far as it has come. `index` is ours: servers leave it out, or give all calls the
    same."""

    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    kept: Json = field(default_factory=dict)

    def is_whole(self) -> bool:
        try:
            return isinstance(orjson.loads("".join(self.pieces)), dict)
        except orjson.JSONDecodeError:
            return False


@dataclass
class Exchange:
    """One request and its answer. `earlier` has, for each turn of the assistant in the request, what `kept`
    was after it. Afterwards `sent` has the names of the request's fields, `back` those that earlier answers
    had, `size` its bytes, `streams` whether it wants a stream, `usage` the greatest bill so far, and
    `has_said` whether there was an answer."""

    learned: Learned
    earlier: list[Mapping[str, Any]] = field(default_factory=list)
    sent: frozenset[str] = frozenset()
    back: frozenset[str] = frozenset()
    effort: str = ""
    size: int = 0
    streams: bool = False
    usage: Json = field(default_factory=dict)
    has_said: bool = False
    finished: bool = False
    _message: Json = field(default_factory=dict)
    _calls: list[Call] = field(default_factory=list)
    _at: dict[Any, Call] = field(default_factory=dict)

    @property
    def kept(self) -> Json:
        """Fields of vendors that have to come back with this answer: of the message, and of each call."""
        calls = [call.kept for call in self._calls]
        kept = {"message": self._message, "calls": calls if any(calls) else []}
        fits = any(kept.values()) and len(orjson.dumps(kept)) <= MAX_KEPT_BYTES
        return kept if fits else {}

    def request(self, body: Json) -> Json:
        """The request as this server takes it."""
        learned = self.learned
        answers = [message for message in body.get("messages", ()) if message.get("role") == "assistant"]
        for message, kept in zip(answers, self.earlier, strict=False):
            message.update(kept.get("message", {}))
            for call, fields in zip(message.get("tool_calls") or (), kept.get("calls", ()), strict=False):
                call.update(fields)
        back = {name for message in answers for name in message.keys() - KNOWN_OF_MESSAGE}
        calls = [call for message in answers for call in message.get("tool_calls") or ()]
        back |= {name for call in calls for name in call.keys() - KNOWN_OF_CALL}
        for name in learned.kept_back:
            for holder in (*answers, *calls):
                holder.pop(name, None)
        if learned.no_system:
            _without_system(body["messages"])
        for name, here in learned.renamed.items():
            if name in body:
                body[here] = body.pop(name)
        for name in learned.left_out:
            body.pop(name, None)
        if learned.effort and "reasoning_effort" in body:
            body["reasoning_effort"] = learned.effort
        self.sent, self.back = frozenset(body), frozenset(back)
        self.streams = bool(body.get("stream"))
        self.effort = str(body.get("reasoning_effort", ""))
        return body

    def event(self, event: Json) -> Json:
        """A piece of a streamed answer. Its usage becomes what is more than before, since libraries add
        up."""
        choices = [choice for choice in event.get("choices") or () if isinstance(choice, dict)]
        usage = event.get("usage") or next(
            (choice["usage"] for choice in choices if choice.get("usage")), None
        )
        if isinstance(usage, dict):
            event["usage"] = _more(usage, self.usage)
        for choice in choices:
            if choice.get("delta") is None and isinstance(choice.get("message"), dict):
                choice["delta"] = choice.pop("message")
            if isinstance(delta := choice.get("delta"), dict):
                self._hear(delta)
            self.finished |= bool(choice.get("finish_reason"))
        return event

    def end(self) -> Json | None:
        """The event that is missing before `[DONE]`: why the answer has ended."""
        if self.finished or not self.has_said:
            return None
        reason = "tool_calls" if self._calls else "stop"
        return {
            "id": "",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "",
            "choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
        }

    def whole(self, answer: Json) -> Json:
        """An answer that was not streamed."""
        _complete(answer)
        if isinstance(usage := answer.get("usage"), dict):
            answer["usage"] = _more(usage, self.usage)
        for message in _messages(answer):
            self._hear(message)
            for place, call in enumerate(message.get("tool_calls") or ()):
                del call["index"]
                call["id"] = call["id"] or f"call{place}"
        return answer

    def as_event(self, answer: Json) -> Json:
        """A whole answer to a request that wanted a stream, as one event."""
        _complete(answer)
        return self.event(answer)

    def _hear(self, said: Json) -> None:
        self.has_said |= bool(said.get("content") or said.get("tool_calls"))
        for name in said.keys() - KNOWN_OF_MESSAGE - THOUGHTS:
            _gather(self._message, name, said[name])
        calls = [call for call in said.get("tool_calls") or () if isinstance(call, dict)]
        if calls:
            said["tool_calls"] = [self._call(call) for call in calls]

    def _call(self, piece: Json) -> Json:
        """A piece of a call, with the index of the call it belongs to."""
        function = piece["function"] = dict(piece.get("function") or {})
        name, given = function.get("name") or "", function.get("arguments")
        arguments = function["arguments"] = _text(given)
        call = self._at.get(piece.get("index")) or (self._calls[-1] if self._calls and not name else None)
        if call is None or _is_another(call, str(piece.get("id") or ""), name, arguments):
            call = Call(len(self._calls))
            self._calls.append(call)
        self._at[piece.get("index")] = call
        call.id = call.id or str(piece.get("id") or "")
        if name and name == call.name:
            function["name"] = None  # it comes again with each piece
        elif name:
            call.name += name
        if given is not None:
            call.pieces.append(arguments)
        for key in piece.keys() - KNOWN_OF_CALL:
            _gather(call.kept, key, piece[key])
        return {"index": call.index, "id": call.id or None, "type": "function", "function": function}


EXCHANGE: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
"""The exchange of the request that is being made. Without one nothing is mended."""


def _is_another(call: Call, ident: str, name: str, arguments: str) -> bool:
    """Whether a piece with this id and name begins another call than the one at its index. Some servers give
    each piece of a call a new id, or repeat its name."""
    if not name:
        return False
    if call.is_whole() or (name != call.name and call.pieces):
        return True
    if not ident or not call.id or ident == call.id:
        return False
    return name != call.name or not any(call.pieces) or arguments.lstrip().startswith("{")


def _messages(answer: Json) -> list[Json]:
    choices = [choice for choice in answer.get("choices") or () if isinstance(choice, dict)]
    return [choice["message"] for choice in choices if isinstance(choice.get("message"), dict)]


def _complete(answer: Json) -> None:
    """Add to a whole answer what a library cannot do without."""
    for name, value in (("id", ""), ("object", "chat.completion"), ("created", 0), ("model", "")):
        if answer.get(name) is None:
            answer[name] = value
    for place, choice in enumerate(answer.get("choices") or ()):
        choice.setdefault("index", place)
    for message in _messages(answer):
        message.setdefault("role", "assistant")
        message.setdefault("content", None)
        for place, call in enumerate(message.get("tool_calls") or ()):
            call["index"] = place


def _text(arguments: object) -> str:
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()


def _gather(kept: Json, name: str, value: Any) -> None:
    """Add a piece of a field."""
    if value is None:
        return
    match kept.get(name), value:
        case str() as before, str():
            kept[name] = before + value
        case list() as before, list():
            before.extend(value)
        case dict() as before, dict():
            before.update(value)
        case _:
            kept[name] = value


def _more(usage: Json, told: Json) -> Json:
    """What this bill has more than `told`, which becomes the greater of both. Numbers below zero stay: the
    bill is not to be believed."""
    more: Json = {}
    for name, value in usage.items():
        if isinstance(value, dict):
            more[name] = _more(value, told.setdefault(name, {}))
        elif isinstance(number := _number(value), int):
            before = told.get(name, 0)
            more[name] = number if number < 0 else max(0, number - before)
            told[name] = min(number, before) if number < 0 else max(number, before)
    return more


def _number(value: object) -> int | None:
    try:
        return int(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


def _without_system(messages: list[Json]) -> None:
    told = [message for message in messages if message.get("role") in ("system", "developer")]
    rest = [message for message in messages if message not in told]
    first = next((message for message in rest if message.get("role") == "user"), None)
    if told and first is not None:
        first["content"] = "\n\n".join(_contents([*told, first]))
        messages[:] = rest


def _contents(messages: Iterable[Json]) -> list[str]:
    return [str(message.get("content") or "") for message in messages]

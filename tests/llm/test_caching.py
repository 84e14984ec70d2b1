"""What a tool loop sends again with each turn is read from the provider's cache: it is marked where the wire
wants marks, stays the same bytes from turn to turn, and is billed at the cache's prices."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from app.domain.budget import Use
from tests.helpers.model_server import open_server, says
from tests.helpers.wire_forms import Json
from tests.helpers.wires import CALL, open_wire
from workers.llm.calling import Called, call
from workers.llm.endpoint import Endpoint
from workers.llm.lineup import Patience
from workers.llm.model import Answer, Message, Model, Question, Tokens, ToolSpec
from workers.llm.prices import listed
from workers.llm.vendors import Server, open_model
from workers.pipeline.ticket.memory import STEP, WHOLE_TURNS, bounded

TOOLS = tuple(
    ToolSpec(name, "Look at it.", {"type": "object", "properties": {"path": {"type": "string"}}})
    for name in ("look", "search")
)
FIRST = Message("user", "Build it.")
MODELS = {
    "anthropic": ("claude-opus-4-5", "anthropic"),
    "bedrock": ("anthropic.claude-sonnet-4-5-20250929-v1:0", "aws"),
}
PRICES = {"anthropic": (5, 0.5, 6.25, 25), "bedrock": (3.3, 0.33, 4.125, 16.5)}
"""In USD for a million tokens: input, read from the cache, written to it, output."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


class Book:
    """A ledger that keeps what was reserved."""

    def __init__(self) -> None:
        self.reserved: list[Use] = []

    async def reserve(self, model: Model, worst: Use) -> int:
        self.reserved.append(worst)
        return len(self.reserved)

    async def fail(self, attempt: int, outcome: str, used: Use | None, latency_ms: int) -> None:
        raise AssertionError(outcome)

    async def rest(self, seconds: float) -> None:
        raise AssertionError(seconds)


def opened(kind: str, url: str, *, stream: bool) -> Model:
    name, prices = MODELS[kind]
    server = Server(url, "", "eu-west-1") if kind == "bedrock" else Server(url, "key")
    return open_model(kind, name, server, Endpoint(stream=stream), listed(name, provider=prices))


async def ticket(kind: str, turns: int, *, stream: bool = True) -> tuple[list[Json], list[Called], Book]:
    """The requests of a ticket with so many turns, their answers, and what was reserved."""

    async def say(_: Json) -> Answer:
        return Answer("Let me see.", "", (CALL,))

    book, called, said = Book(), list[Called](), list[tuple[Message, ...]]()
    async with open_wire(kind, say) as server:
        model = opened(kind, server.url, stream=stream)
        for turn in range(turns):
            question = Question("Builder", "building", "Build.", bounded(FIRST, said), tools=TOOLS)
            called.append(await call([model], question, book, Patience()))
            answer = called[-1].answer
            (asked,) = answer.calls
            said.append(
                (
                    Message("assistant", answer.text, answer.calls, thoughts=answer.thoughts),
                    Message("tool", f"file {turn} " + "x" * 900, call_id=asked.id),
                )
            )
    return [body for _, _, body in server.asked], called, book


def unmarked(value: Any) -> Any:
    """Without marks, which are no part of what is cached."""
    if isinstance(value, list):
        return [unmarked(each) for each in value if not (isinstance(each, dict) and "cachePoint" in each)]
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name != "cache_control"}
    return value


def prompt(body: Json) -> bytes:
    """What the provider reads, in the order in which it caches."""
    head = [body.get("tools") or body.get("toolConfig"), body["system"]]
    return orjson.dumps(unmarked([*head, *body["messages"]])).removesuffix(b"]")


def marks(body: Json) -> list[str]:
    """Where the marks stand: of the tools, the instructions and the messages, the last each."""
    parts: dict[str, Sequence[Json]] = {
        "tools": body.get("tools") or body.get("toolConfig", {}).get("tools", ()),
        "system": body["system"],
        "messages": body["messages"][-1]["content"],
    }
    return [name for name, part in parts.items() if "cache_control" in part[-1] or "cachePoint" in part[-1]]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.may_block
async def test_a_ticket_is_marked_and_begins_with_the_same_bytes(kind: str) -> None:
    turns = WHOLE_TURNS + STEP + 3
    asked, _, _ = await ticket(kind, turns)
    assert len(asked) == turns
    assert all(marks(body) == ["tools", "system", "messages"] for body in asked)
    assert all(str(body).count("cache_control") + str(body).count("cachePoint") == 3 for body in asked)
    grown = [turn for turn in range(1, turns) if prompt(asked[turn]).startswith(prompt(asked[turn - 1]))]
    outlined = WHOLE_TURNS + STEP
    assert grown == [turn for turn in range(1, turns) if turn != outlined], "except when turns are outlined"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.may_block
async def test_what_is_written_and_read_has_prices_of_its_own(kind: str, stream: bool) -> None:
    plain, read, written, said = PRICES[kind]
    _, (called,), book = await ticket(kind, 1, stream=stream)
    assert called.answer.tokens == Tokens(150, 7, 30, 20)
    cost = (100 * plain + 30 * read + 20 * written + 7 * said) / 1e6
    assert called.used is not None
    assert called.used.cost_usd == pytest.approx(cost)
    assert called.used == Use(150, 7, 30, called.used.cost_usd, 20)
    (worst,) = book.reserved
    dearest = (worst.input_tokens * written + worst.output_tokens * said) / 1e6
    assert worst.cost_usd == pytest.approx(dearest)


async def test_what_is_asked_once_is_not_marked() -> None:
    async def say(_: Json) -> Answer:
        return Answer("Well.", "")

    async with open_wire("anthropic", say) as server:
        await opened("anthropic", server.url, stream=True).ask(
            Question("CEO", "discussion", "Say.", (FIRST,))
        )
    assert "cache_control" not in str(server.asked[0])


@pytest.mark.parametrize(("name", "marked"), [("anthropic/claude-sonnet-4.5", True), ("openai/gpt-5", False)])
async def test_behind_openrouter(name: str, marked: bool) -> None:
    async with open_server() as server:
        server.scripts["key"] = [says("Well.")]
        model = open_model("openrouter", name, Server(server.url, "key"), Endpoint(), lambda _: 0.0)
        await model.ask(Question("Builder", "building", "Build.", (FIRST,), tools=TOOLS))
    assert ("cache_control" in str(server.asked[0].body)) == marked

"""Whole jobs behind servers that do it otherwise: each is `verified`."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.helpers.company import DONE, company
from tests.helpers.house import House, play
from tests.helpers.lineup import lineup
from tests.helpers.model_server import Exchange, Move, Server
from tests.helpers.wire_company import plays
from tests.llm.single import error

Json = dict[str, Any]


class Otherwise(Exchange):
    """An exchange whose events are changed on their way to the caller."""

    change: Callable[[Json], Json]

    async def event(self, value: Mapping[str, Any]) -> None:
        await super().event(self.change(dict(value)))


def changed(exchange: Exchange, change: Callable[[Json], Json]) -> Exchange:
    other = Otherwise(exchange.key, exchange.body, exchange.reader, exchange.writer)
    other.change = change
    return other


def refusing(holds: Callable[[Json], bool], words: str) -> Callable[[Move], Move]:
    """A server that answers 400 as long as `holds` is false."""

    def wire(good: Move) -> Move:
        async def move(exchange: Exchange) -> None:
            if holds(exchange.body):
                # The scripted company reads the limit by its usual name.
                exchange.body.setdefault("max_tokens", exchange.body.get("max_completion_tokens"))
                await good(exchange)
            else:
                await error(400, {"error": {"message": words}})(exchange)

        return move

    return wire


def telling(change: Callable[[Json], Json]) -> Callable[[Move], Move]:
    """A server whose events are changed."""

    def wire(good: Move) -> Move:
        async def move(exchange: Exchange) -> None:
            await good(changed(exchange, change))

        return move

    return wire


def thinks_first(good: Move) -> Move:
    async def move(exchange: Exchange) -> None:
        begun = False

        def change(event: Json) -> Json:
            nonlocal begun
            if not begun:
                begun = True
                content = event["choices"][0]["delta"].get("content") or ""
                event["choices"][0]["delta"]["content"] = f"<think>I {{see}}.</think>\n{content}"
            return event

        await good(changed(exchange, change))

    return move


def _without_reason(event: Json) -> Json:
    for choice in event["choices"]:
        choice["finish_reason"] = None
    return event


def _signed(event: Json) -> Json:
    for choice in event["choices"]:
        for call in choice["delta"].get("tool_calls") or ():
            call["extra_content"] = {"google": {"thought_signature": "c2ln"}}
    return event


def _all_signed(body: Json) -> bool:
    calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    return all(call.get("extra_content") == {"google": {"thought_signature": "c2ln"}} for call in calls)


def gemini(good: Move) -> Move:
    """Signs its calls, and refuses a request in which a signature is missing."""
    return refusing(_all_signed, "Function call is missing a thought_signature")(telling(_signed)(good))


def thoughtful(good: Move) -> Move:
    """Thinks in a field of its own, which it does not take back."""

    def holds(body: Json) -> bool:
        return not any("reasoning_content" in message for message in body["messages"])

    words = "property 'messages.2.assistant.reasoning_content' is unsupported"
    refuses_thoughts = refusing(holds, words)

    async def move(exchange: Exchange) -> None:
        first = True

        def change(event: Json) -> Json:
            nonlocal first
            if first:
                first = False
                event["choices"][0]["delta"]["reasoning_content"] = "I see."
            return event

        await refuses_thoughts(good)(changed(exchange, change) if holds(exchange.body) else exchange)

    return move


WIRES: dict[str, Callable[[Move], Move]] = {
    "another name of the limit": refusing(
        lambda body: "max_tokens" not in body,
        "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    ),
    "no stream_options": refusing(
        lambda body: "stream_options" not in body, "stream_options: Extra inputs are not permitted"
    ),
    "thoughts in the text": thinks_first,
    "no reason for the end": telling(_without_reason),
    "signatures that must come back": gemini,
    "thoughts that must not": thoughtful,
}


@pytest.mark.long
@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_a_whole_job(house: House, server: Server, wire: Callable[[Move], Move]) -> None:
    job = await play(house, lineup(server, [wire(plays(company(intake=lambda _: DONE)))]))
    assert (job.status, job.verification, job.error_message) == ("build_done", "verified", "")

"""Each vendor's models over HTTP, in the vendor's own wire: plain and typed answers, tools, a whole job."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from app.domain.vendors import VENDORS, wire_of
from app.settings import Settings
from tests.helpers.company import DONE, company
from tests.helpers.house import House, play
from tests.helpers.model_server import Server as ChatServer
from tests.helpers.model_server import answer_streamed, answer_whole, open_server, says
from tests.helpers.vendors import ASKED, KEY, NAMES, OTHER_WIRES, model_of
from tests.helpers.wire_company import question_of
from tests.helpers.wire_forms import Json
from tests.helpers.wires import CALL, WireServer, open_wire
from workers.choose import UnknownModel
from workers.llm.lineup import Lineup
from workers.llm.model import Answer, Message
from workers.llm.scripted import ScriptedModel
from workers.main import choose_models

CHAT = [kind for kind, vendor in VENDORS.items() if vendor.wire == "chat" and kind != "openai"]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS takes a key (a bearer token) over HTTPS only."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@asynccontextmanager
async def wire(name: str, *answers: Answer) -> AsyncIterator[tuple[WireServer, list[Json]]]:
    heard: list[Json] = []

    async def say(chat: Json) -> Answer:
        heard.append(chat)
        return answers[min(len(heard), len(answers)) - 1]

    async with open_wire(name, say) as server:
        yield server, heard


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("kind", "name"), OTHER_WIRES)
@pytest.mark.may_block
async def test_a_conversation_with_a_tool(kind: str, name: str, stream: bool) -> None:
    first, second = Answer("Let me see.", "", (CALL,)), Answer("It is there.", "")
    async with wire(name, first, second) as (server, heard):
        model = model_of(kind, name, server.url, stream=stream)
        asked = await model.ask(ASKED)
        assert (asked.text, [(call.name, call.arguments) for call in asked.calls]) == (
            "Let me see.",
            [("look", '{"path":"a"}')],
        )
        assert asked.finish_reason in ("tool_calls", "stop")  # not every wire tells them apart
        assert asked.tokens is not None
        turns = (
            Message("assistant", asked.text, asked.calls, thoughts=asked.thoughts),
            Message("tool", "a file", call_id=asked.calls[0].id),
        )
        told = await model.ask(replace(ASKED, messages=(*ASKED.messages, *turns)))
    assert (told.text, told.finish_reason) == ("It is there.", "stop")
    roles = [turn["role"] for turn in heard[1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert heard[0]["messages"][0]["content"] == "You are the CEO."
    assert heard[1]["messages"][3]["content"] == "a file"
    assert (heard[0]["tools"], heard[0]["max_tokens"]) == (["look"], 4096)
    assert (KEY if kind != "bedrock" else "AKID") in str(server.asked[0][1])


@pytest.mark.parametrize("kind", CHAT)
async def test_vendors_that_speak_chat_completions(kind: str) -> None:
    async with open_server() as server:
        server.scripts[KEY] = [says("Let me see.", CALL)]
        asked = await model_of(kind, "chat", server.url, stream=True).ask(ASKED)
        assert (asked.text, asked.calls[0].arguments) == ("Let me see.", '{"path":"a"}')
        body = server.asked[0].body
        assert 4096 in (body.get("max_tokens"), body.get("max_completion_tokens"))


@pytest.mark.long
@pytest.mark.may_block
@pytest.mark.parametrize(("kind", "name"), OTHER_WIRES)
async def test_a_whole_job_in_a_vendors_wire(kind: str, name: str, house: House) -> None:
    script = ScriptedModel(company(intake=lambda _: DONE))

    heard: list[Json] = []

    async def say(chat: Json) -> Answer:
        heard.append(chat)
        chat["messages"][0]["content"] += "\n"  # some libraries take the last line's end away
        return await script.ask(question_of(_Asked(chat)))  # type: ignore[arg-type]

    async with open_wire(name, say) as server:
        job = await play(house, Lineup(first=model_of(kind, name, server.url, stream=True)))
    assert (job.error_message, job.status, job.verification) == ("", "build_done", "verified")
    turns = [
        (before["messages"], after["messages"])
        for before, after in pairwise(heard)
        if before["messages"][:2] == after["messages"][:2]
    ]
    assert turns
    assert all(after[: len(before)] == before for before, after in turns), "caches can be read"


class _Asked:
    def __init__(self, body: Json) -> None:
        self.body = body


@pytest.mark.long
@pytest.mark.parametrize("kind", CHAT)
async def test_a_whole_job_of_a_vendor_with_chat_completions(kind: str, house: House) -> None:
    script = ScriptedModel(company(intake=lambda _: DONE))

    async def move(exchange: Any) -> None:
        answer = await script.ask(question_of(exchange))
        await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)

    async with open_server() as server:
        assert isinstance(server, ChatServer)
        server.scripts[KEY] = [move]
        job = await play(house, Lineup(first=model_of(kind, "chat", server.url, stream=True)))
    assert (job.error_message, job.status, job.verification) == ("", "build_done", "verified")


def test_which_wire() -> None:
    assert wire_of("openai", "gpt-5-mini", "") == "responses"
    assert wire_of("openai", "gpt-5-mini", "http://localhost:1/v1") == "chat"
    assert wire_of("openai", "gpt-4o", "") == "chat"
    assert wire_of("google", "gemini-3-pro", "") == "google"


@pytest.mark.parametrize("kind", VENDORS)
def test_each_vendor_can_be_chosen(kind: str) -> None:
    needs = VENDORS[kind].needs
    model = f"{kind}:{NAMES.get(kind, 'some-model')}"
    if needs:
        with pytest.raises(UnknownModel, match=needs[0]):
            choose_models(Settings(_env_file=None, model=model))
    given = {needs[0].lower(): "eu-west-1" if kind == "bedrock" else KEY} if needs else {}
    assert choose_models(Settings(_env_file=None, model=model, **given)).name == model  # type: ignore[arg-type]

"""Room for thoughts beside an answer, and how much a model is asked to think."""

import pytest

from tests.helpers.lineup import HASTE
from tests.helpers.model_server import Exchange, Move, Server, says
from tests.llm.single import (
    SCHEMA,
    Free,
    bill,
    gives,
    last_body,
    opened,
    question,
)
from workers.llm.calling import call
from workers.llm.model import Tokens


def thinker(needs: int) -> Move:
    """Thinks for `needs` tokens, hidden or aloud, then answers. Its limit counts both."""

    async def move(exchange: Exchange) -> None:
        limit = exchange.body["max_tokens"]
        thoughts = {"reasoning_content": "Hm. " * min(needs, limit)}
        if limit <= needs:
            used = Tokens(20, limit)
            await gives(thoughts, finish="length", usage=bill(used))(exchange)
        else:
            await gives(thoughts, {"content": '{"a": 1}'}, usage=bill(Tokens(20, needs + 9)))(exchange)

    return move


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_cut_off_by_thoughts_gets_more_room(server: Server, stream: bool) -> None:
    model, ledger = opened(server, thinker(6000), stream=stream), Free()
    for requests in (3, 4):
        called = await call([model], question(schema=SCHEMA, max_tokens=1500), ledger, HASTE)
        assert (called.answer.text, len(server.asked)) == ('{"a": 1}', requests)
    assert [exchange.body["max_tokens"] for exchange in server.asked] == [1500, 5500, 17500, 17500]
    assert [used.output_tokens for _, used in ledger.spent if used] == [1500, 5500], "thoughts are paid for"
    assert [worst.output_tokens for worst in ledger.reserved] == [1500, 5500, 17500, 17500]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_room_for_thoughts_ends(server: Server, stream: bool) -> None:
    """Thoughts that fill every room end as an answer that was cut off; MODEL_MAX_TOKENS holds for all."""
    called = await call(
        [opened(server, thinker(10**6), stream=stream)], question(max_tokens=1500), Free(), HASTE
    )
    assert (called.answer.text, called.answer.finish_reason, len(server.asked)) == ("", "length", 4)
    model = opened(server, thinker(10**6), stream=stream, longest=2000)
    assert (await call([model], question(max_tokens=1500), Free(), HASTE)).answer.finish_reason == "length"
    assert [exchange.body["max_tokens"] for exchange in server.asked] == [1500, 2000]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_that_is_itself_too_long_gets_no_more_room(server: Server, stream: bool) -> None:
    cut = gives({"reasoning_content": "Hm."}, {"content": "x" * 9000}, finish="length")
    called = await call([opened(server, cut, stream=stream)], question(max_tokens=1500), Free(), HASTE)
    assert (called.answer.finish_reason, len(server.asked)) == ("length", 1)


EFFORT = [("off", "none", 0), ("low", "low", 4000), ("medium", "medium", 16000), ("high", "high", 32000)]


@pytest.mark.parametrize(("setting", "sent", "room"), EFFORT)
async def test_how_much_a_model_should_think(server: Server, setting: str, sent: str, room: int) -> None:
    model = opened(server, says("Well."), reasoning=setting)
    await call([model], question(max_tokens=1000), Free(), HASTE)
    assert (last_body(server)["reasoning_effort"], last_body(server)["max_tokens"]) == (sent, 1000 + room)


async def test_nothing_is_said_of_thinking_by_itself(server: Server) -> None:
    await opened(server, says("Well.")).ask(question())
    assert last_body(server).keys() == {"model", "messages", "max_tokens", "stream", "stream_options"}

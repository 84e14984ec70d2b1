"""`boardroom model check`: what it says of servers that can all, and of servers that cannot."""

import os
import subprocess
import sys

import orjson
import pytest

from app.settings import Settings
from tests.helpers.able import FOUND, answers
from tests.helpers.model_server import Exchange, Move, Server, refuses, resets_mid_stream, says
from tests.llm.single import bill, gives
from workers.llm.model import Tokens, ToolCall
from workers.model_check import Line, check

LINES = (
    "reachable",
    "streams",
    "typed answers",
    "tools",
    "several calls in a turn",
    "thoughts",
    "context window",
    "price",
)


def thinker(needs: int, then: Move) -> Move:
    """Thinks for `needs` tokens, which its limit counts."""

    async def move(exchange: Exchange) -> None:
        limit = exchange.body["max_tokens"]
        if limit > needs:
            await gives({"reasoning_content": "Hm."}, {"content": "1 2 3"}, usage=bill(Tokens(20, needs)))(
                exchange
            )
        else:
            used = bill(Tokens(20, limit))
            await gives({"reasoning_content": "Hm. " * limit}, finish="length", usage=used)(exchange)

    return move


async def without_schemas_and_tools(exchange: Exchange) -> None:
    if exchange.body.get("response_format") or exchange.body.get("tools"):
        await refuses(403, "no such thing here")(exchange)
    else:
        await answers(exchange)


def settings(server: Server, **more: object) -> Settings:
    given = {"model": "openai:tiny", "openai_base_url": server.url, "openai_api_key": "sk-check", **more}
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


async def checked(server: Server, *moves: Move, **more: object) -> dict[str, Line]:
    server.scripts["sk-check"] = moves
    return {line.what: line for line in await check(settings(server, **more))}


@pytest.mark.may_block
async def test_a_model_that_can_all(server: Server) -> None:
    server.pages["/v1/models"] = {"data": [{"id": "tiny", "max_model_len": 65_536}]}
    lines = await checked(server, answers, model_input_price_usd=1, model_output_price_usd=4)
    assert {what: line.works for what, line in lines.items()} == dict.fromkeys(LINES, True)
    assert lines["typed answers"].detail == "MODEL_SCHEMA=native, tool, prompted"
    assert lines["several calls in a turn"].detail == "2 at once"
    assert lines["context window"].detail == "65,536 tokens, as its server tells"
    assert lines["thoughts"].detail == "none were seen"
    assert lines["price"].detail == f"known; this check has cost {5 * (40 + 4 * 12) / 1e6:.4f} USD"
    assert len(server.asked) == 5
    assert all(len(orjson.dumps(exchange.body)) < 3000 for exchange in server.asked)


@pytest.mark.may_block
async def test_what_does_not_work_is_named_with_its_cure(server: Server) -> None:
    lines = await checked(server, without_schemas_and_tools)
    assert (lines["typed answers"].works, lines["typed answers"].cure) == (False, "MODEL_SCHEMA=prompted")
    assert lines["tools"].works is False
    assert "MODEL_INPUT_PRICE_USD" in lines["price"].cure
    assert lines["price"].works is None, "without a budget in USD nobody needs a price"


@pytest.mark.may_block
async def test_a_server_that_is_not_there_is_one_line(server: Server) -> None:
    lines = await checked(server, refuses(401, "no such key"))
    assert list(lines) == ["reachable"]
    assert lines["reachable"].works is False
    assert "key" in lines["reachable"].detail


@pytest.mark.may_block
async def test_a_refusal_that_is_learned_is_not_taken_for_the_way_that_works(server: Server) -> None:
    async def refuses_schemas(exchange: Exchange) -> None:
        refused = refuses(400, "response_format json_schema is not supported")
        await (refused if exchange.body.get("response_format") else answers)(exchange)

    lines = await checked(server, refuses_schemas)
    typed = lines["typed answers"]
    assert (typed.works, typed.detail, typed.cure) == (
        True,
        "MODEL_SCHEMA=tool, prompted",
        "MODEL_SCHEMA=tool",
    )
    assert lines["asked otherwise"].detail == "typed answers are asked for by MODEL_SCHEMA=tool"


@pytest.mark.may_block
async def test_thoughts_that_cut_answers_off_get_room(server: Server) -> None:
    """Without prices all the room it needs; else not more than a cent buys."""
    thinks = thinker(6000, answers)
    lines = await checked(server, thinks)
    assert lines["reachable"].works
    assert lines["thoughts"].detail == "it thinks; room for 16,000 tokens of thoughts beside an answer"
    lines = await checked(server, thinks, model_input_price_usd=1, model_output_price_usd=10)
    assert list(lines) == ["reachable"]
    assert (lines["reachable"].works, lines["reachable"].cure) == (
        None,
        "MODEL_REASONING=low, or a cheaper model",
    )


@pytest.mark.may_block
@pytest.mark.parametrize(("prices", "asked"), [((10, 50), 5), ((20, 100), 1), ((60, 300), 0)])
async def test_no_more_is_spent_than_a_cent(server: Server, prices: tuple[int, int], asked: int) -> None:
    """With prices, in USD for a million tokens, at which not all can be asked."""
    lines = await checked(server, answers, model_input_price_usd=prices[0], model_output_price_usd=prices[1])
    assert len(server.asked) == asked
    spent = 0.0
    for exchange in server.asked:
        assert spent + exchange.body["max_tokens"] * prices[1] / 1e6 < 0.01
        spent += (FOUND.input * prices[0] + FOUND.output * prices[1]) / 1e6
    assert "cent" in str([line.detail for line in lines.values()]) or asked == 5
    assert all(line.works is not False for line in lines.values() if line.what != "context window")


@pytest.mark.may_block
async def test_one_call_in_a_turn_and_one_piece_are_said(server: Server) -> None:
    lines = await checked(server, says("1 2", ToolCall("", "look", '{"path":"a.txt"}')))
    assert lines["several calls in a turn"].works is None
    assert (lines["streams"].works, lines["streams"].cure) == (False, "MODEL_STREAM=false")


@pytest.mark.may_block
async def test_a_server_that_cannot_stream_is_asked_for_whole_answers(server: Server) -> None:
    async def breaks_streams(exchange: Exchange) -> None:
        await (resets_mid_stream if exchange.streamed else answers)(exchange)

    lines = await checked(server, breaks_streams)
    assert (lines["reachable"].works, lines["streams"].works) == (True, False)
    assert lines["streams"].cure == "MODEL_STREAM=false"
    assert lines["tools"].works


@pytest.mark.may_block
@pytest.mark.parametrize(
    ("pages", "said", "works"),
    [
        (
            {"/props": {"default_generation_settings": {"n_ctx": 4096}}},
            "4,096 tokens, as its server tells",
            False,
        ),
        ({"/api/ps": {"models": [{"name": "tiny", "context_length": 65536}]}}, "65,536 tokens", True),
        ({"/api/show": {"parameters": "stop  <x>\nnum_ctx   8192"}}, "8,192 tokens", False),
        ({"/v1/models": {"data": [{"id": "x", "context_length": 90000}]}}, "90,000 tokens", True),
        ({"/props": [], "/api/ps": {"models": None}, "/v1/models": {"data": [1]}}, "not told", None),
        ({}, "not told", None),
    ],
)
async def test_the_context_window_as_servers_tell_it(
    server: Server, pages: dict[str, object], said: str, works: bool | None
) -> None:
    server.pages.update(pages)
    line = (await checked(server, answers))["context window"]
    assert line.detail.startswith(said)
    assert line.works is works
    assert ("OLLAMA_CONTEXT_LENGTH" in line.cure) == (works is not True)


def test_the_command_asks_first() -> None:
    environment = {**os.environ, "MODEL": "openai:tiny", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    run = [sys.executable, "-m", "app.cli", "model", "check"]
    said = subprocess.run(
        run,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (said.returncode, said.stderr) == (2, "Nothing was asked. (--yes asks without a question.)\n")
    told = subprocess.run(
        [*run, "--yes"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (told.returncode, "NO" in told.stdout) == (1, True)

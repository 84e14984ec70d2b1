"""`boardroom model check`: what it says of servers that can all, and of servers that cannot."""

import os
import subprocess
import sys

import orjson
import pytest

from app.settings import Settings
from tests.helpers.model_server import Exchange, Server, answer_streamed, answer_whole, refuses
from workers.llm.model import Answer, Tokens, ToolCall
from workers.model_check import check

FOUND = Tokens(40, 12)


async def able(exchange: Exchange) -> None:
    """A server that can do all that is asked."""
    tools = [tool["function"]["name"] for tool in exchange.body.get("tools", ())]
    asked = str(exchange.body["messages"])
    if "look" in tools:
        calls = tuple(ToolCall(f"c{place}", "look", '{"path":"a.txt"}') for place in range(2))
        answer = Answer("", "", calls, FOUND, "tool_calls")
    elif "answer" in tools:
        answer = Answer("", "", (ToolCall("c", "answer", '{"sum": 42}'),), FOUND, "tool_calls")
    elif "17 + 25" in asked:
        answer = Answer('{"sum": 42}', "", (), FOUND, "stop")
    else:
        answer = Answer("1 2 3 4 5 6 7 8 9 10 11 12", "", (), FOUND, "stop")
    await (answer_streamed if exchange.streamed else answer_whole)(exchange, answer)


async def without_schemas_and_tools(exchange: Exchange) -> None:
    if exchange.body.get("response_format") or exchange.body.get("tools"):
        await refuses(403, "no such thing here")(exchange)
    else:
        await able(exchange)


def settings(server: Server, **more: object) -> Settings:
    given = {"model": "openai:tiny", "openai_base_url": server.url, "openai_api_key": "sk-check", **more}
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


@pytest.mark.may_block
async def test_a_model_that_can_all(server: Server) -> None:
    server.scripts["sk-check"] = [able]
    lines = {
        line.what: line
        for line in await check(settings(server, model_input_price_usd=1, model_output_price_usd=4))
    }
    assert [line.works for line in lines.values()] == [True] * 6
    assert lines["typed answers"].detail == "MODEL_SCHEMA=native, tool, prompted"
    assert lines["tools"].detail == "several in one turn"
    assert lines["price"].detail == f"known; this check cost {7 * (40 + 4 * 12) / 1e6 - 88 / 1e6:.4f} USD"
    assert all(len(orjson.dumps(exchange.body)) < 3000 for exchange in server.asked)


@pytest.mark.may_block
async def test_what_does_not_work_is_named_with_its_cure(server: Server) -> None:
    server.scripts["sk-check"] = [without_schemas_and_tools]
    lines = {line.what: line for line in await check(settings(server))}
    assert (lines["typed answers"].works, lines["typed answers"].cure) == (False, "MODEL_SCHEMA=prompted")
    assert not lines["tools"].works
    assert "MODEL_INPUT_PRICE_USD" in lines["price"].cure


@pytest.mark.may_block
async def test_a_server_that_is_not_there_is_one_line(server: Server) -> None:
    server.scripts["sk-check"] = [refuses(401, "no such key")]
    (line,) = await check(settings(server))
    assert (line.works, line.what) == (False, "reachable")
    assert "key" in line.detail


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

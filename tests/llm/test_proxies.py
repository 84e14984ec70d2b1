"""Proxies of the environment: the loopback goes straight, NO_PROXY counts, SOCKS works, the rest is a
sentence."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.proxies import UnusableProxy, proxy_for
from app.settings import Settings
from tests.helpers.lineup import SHORT
from tests.helpers.model_server import Server, says
from workers.choose import UnknownModel
from workers.llm.endpoint import Endpoint
from workers.llm.model import Message, Question
from workers.llm.prices import fixed
from workers.llm.provider import open_openai
from workers.main import choose_models

OFFICE = "http://office.example:3128"
MODEL = "https://api.model.example/v1"
QUESTION = Question("CEO", "discussion", "Speak.", (Message("user", "Well?"),))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        (MODEL, {}, None),
        (MODEL, {"HTTPS_PROXY": OFFICE}, OFFICE),
        (MODEL, {"https_proxy": "office.example:3128"}, OFFICE),
        (MODEL, {"HTTP_PROXY": OFFICE}, None),
        (MODEL, {"ALL_PROXY": "socks5://a:1", "HTTPS_PROXY": OFFICE}, OFFICE),
        (MODEL, {"ALL_PROXY": "socks5h://a:1", "HTTPS_PROXY": ""}, "socks5h://a:1"),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "*"}, None),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "other.example, .Model.Example"}, None),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "*.model.example"}, None),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "model.example:443"}, None),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "model.example:80"}, OFFICE),
        (MODEL, {"ALL_PROXY": OFFICE, "NO_PROXY": "el.example"}, OFFICE),
        ("http://10.1.2.3:8080/v1", {"ALL_PROXY": OFFICE, "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://10.1.2.3:8080/v1", {"ALL_PROXY": OFFICE, "NO_PROXY": "10.1.2.3:8080"}, None),
        ("http://11.1.2.3:8080/v1", {"ALL_PROXY": OFFICE, "NO_PROXY": "10.0.0.0/8"}, OFFICE),
        ("http://[fd00::1]:8080/v1", {"ALL_PROXY": OFFICE, "NO_PROXY": "fd00::/8"}, None),
        ("http://[fd00::1]:8080/v1", {"ALL_PROXY": OFFICE, "NO_PROXY": "[fd00::1]"}, None),
    ],
)
def test_which_proxy(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "127.9.9.9",
        "127.1",
        "[::1]",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
    ],
)
def test_the_loopback_goes_through_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://office.example")
    assert proxy_for(f"http://{host}:8080/v1") is None


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("ftp://me:secret@office.example", r"ftp:// is none of http, https, socks5, socks5h"),
        ("socks4://office.example", "socks4://"),
        ("http://", "it names no server"),
        ("http://me:secret@office.example:many", "it is no address"),
        ("http://[::1", "it is no address"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence(
    proxy: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UnusableProxy, match=f"^ALL_PROXY names a proxy that cannot be used: {why}") as raised:
        proxy_for(MODEL)
    assert "secret" not in str(raised.value)
    with pytest.raises(UnknownModel, match=r"openai:x cannot be reached: ALL_PROXY names"):
        choose_models(Settings(_env_file=None, model="openai:x", openai_api_key="k"))


async def _asked(server: Server, url: str) -> str:
    server.scripts["sk-1"] = [says("Well enough.")]
    model = open_openai("tiny", base_url=url, key="sk-1", endpoint=Endpoint(SHORT), price=fixed(1, 1))
    return (await model.ask(QUESTION)).text


async def test_a_model_on_the_loopback_is_asked_directly(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    assert await _asked(server, server.url) == "Well enough."


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "http"])
async def test_a_model_elsewhere_is_asked_through_the_proxy(
    scheme: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.url.removesuffix("/v1").rpartition(":")[2])
    async with _proxy(port, socks=scheme != "http") as (address, asked):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{address}")
        assert await _asked(server, "http://model.example/v1") == "Well enough."
    assert asked == [b"model.example"]


@asynccontextmanager
async def _proxy(port: int, *, socks: bool) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that leads everything to `port` of the loopback, and the hosts it was asked for."""
    asked: list[bytes] = []

    async def meet_socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        *_, length = await reader.readexactly(5)
        asked.append(await reader.readexactly(length))
        await reader.readexactly(2)
        writer.write(b"\x05\x00\x00\x01" + socket.inet_aton("127.0.0.1") + b"\x00\x01")
        return b""

    async def meet_http(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> bytes:
        line = await reader.readline()
        asked.append(line.split(b"/")[2])
        return line

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await (meet_socks if socks else meet_http)(reader, writer)
        there, away = await asyncio.open_connection("127.0.0.1", port)
        away.write(first)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, away))
                both.create_task(_copy(there, writer))
        finally:
            away.close()
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()

"""Commands and the app, on every kind of box."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import cast
from uuid import UUID

import pytest

from app.domain.errors import Conflict, Invalid, TooLarge
from app.domain.workspace import Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import also_on_a_twin, on_every_kind, output_of, sleepers
from tests.helpers.waiting import until

SERVER = "exec python3 -m http.server -b 127.0.0.1 $PORT"


@also_on_a_twin
async def test_a_command_and_its_output(workspace: Workspace) -> None:
    pieces: list[str] = []
    result = await workspace.run(
        'pwd; echo "$WORD" >&2; read line; exit 3', timeout_s=10, env={"WORD": "hé"}, on_output=pieces.append
    )
    assert (result.exit_code, result.output, result.timed_out, result.truncated) == (
        3,
        "/app\nhé\n",
        False,
        False,
    )
    assert "".join(pieces) == result.output
    assert (await workspace.run("kill -9 $$", timeout_s=10)).exit_code == 137
    assert (await workspace.run(r"printf 'a\000b\377'", timeout_s=10)).output == "a\ufffdb\ufffd"


async def test_long_output_loses_its_middle(workspace: Workspace) -> None:
    result = await workspace.run(
        "echo begin; yes | head -c 50000000; echo end", timeout_s=30, output_limit=1000
    )
    assert result.truncated
    assert len(result.output) < 1100
    assert result.output.startswith("begin\n")
    assert result.output.endswith("end\n")
    assert "bytes left out" in result.output


async def test_a_deadline_ends_a_command_and_its_daemons(workspace: Workspace) -> None:
    daemons = "for i in 1 2 3; do setsid sh -c 'setsid sleep 987 & setsid sleep 987' & done; sleep 987"
    result = await workspace.run(f"trap '' TERM; {daemons}", timeout_s=0.5)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert await sleepers(workspace) == 0


async def test_processes_that_a_command_left_end_with_it(workspace: Workspace) -> None:
    result = await workspace.run("(setsid sleep 987 &) ; sleep 987 & echo done", timeout_s=20)
    assert (result.exit_code, result.output) == (0, "done\n")
    assert result.duration_ms < 10_000
    assert await sleepers(workspace) == 0


async def test_of_commands_that_have_ended_no_process_is_left(workspace: Workspace) -> None:
    for _ in range(5):
        await workspace.run("true", timeout_s=10)

    async def none_waits() -> bool:
        return await output_of(workspace, "grep -ls '^State:.Z' /proc/[0-9]*/status | wc -l") == "0"

    await until(none_waits)


async def test_cancelling_ends_a_command(workspace: Workspace) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(
        workspace.run("setsid sleep 987 & echo; sleep 987", timeout_s=60, on_output=lambda _: started.set())
    )
    await started.wait()

    async def both_sleep() -> bool:
        return await sleepers(workspace) == 2

    await until(both_sleep)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # No waiting here: the next call begins only when the cancelled one is over.
    assert await sleepers(workspace) == 0


async def test_commands_run_side_by_side(workspace: Workspace) -> None:
    began = time.monotonic()
    slow = [workspace.run("sleep 1; echo slow", timeout_s=20) for _ in range(5)]
    results = await asyncio.gather(*slow, *[workspace.run("echo quick", timeout_s=20) for _ in range(5)])
    assert [result.output for result in results] == ["slow\n"] * 5 + ["quick\n"] * 5
    assert time.monotonic() - began < 4


async def test_invalid_commands(workspace: Workspace) -> None:
    with pytest.raises(TooLarge):
        await workspace.run("x" * 50_000, timeout_s=1)
    with pytest.raises(Invalid):
        await workspace.run("a\0b", timeout_s=1)
    assert (await workspace.run("no-such-command", timeout_s=10)).exit_code == 127


async def test_the_app_is_started_once_and_reached(workspace: Workspace) -> None:
    assert (await workspace.app_status()).state == "none"
    assert (await workspace.request("GET", "/")).status == 0
    await workspace.save("hello.txt", b"hi")
    manifest = Manifest(start=f"echo started >> starts; {SERVER}", port=8123)
    first = await workspace.start_app(manifest)
    again = await workspace.start_app(manifest)
    assert first.answering
    assert first.port == again.port == 8123
    assert again.restarts == 0
    assert await output_of(workspace, "cat starts") == "started"
    answer = await workspace.request("GET", "/hello.txt")
    assert (answer.status, answer.body) == (200, "hi")
    assert (await workspace.request("GET", "/none")).status == 404

    stream = await workspace.dial(8123)
    await stream.write(b"GET /hello.txt HTTP/1.0\r\n\r\n")
    received = b""
    while piece := await stream.read():
        received += piece
    assert received.endswith(b"\r\n\r\nhi")
    await stream.close()

    await workspace.stop_app()
    assert (await workspace.app_status()).state == "none"
    with pytest.raises(Conflict):
        await workspace.dial(8123)


async def test_a_connection_of_a_cancelled_caller_is_closed(workspace: Workspace) -> None:
    """The server does not close the connection itself."""
    silent = "import socket,time\ns=socket.create_server(('127.0.0.1',9001))\ntime.sleep(60)"
    task = asyncio.create_task(workspace.run(f'python3 -c "{silent}"', timeout_s=60))

    async def open_ones() -> int:  # 9001 in hexadecimal; 01 is an established connection
        return int(await output_of(workspace, "grep -c ':2329 [0-9A-F]*:[0-9A-F]* 01' /proc/net/tcp || true"))

    async def listening() -> bool:
        return "2329" in await output_of(workspace, "cat /proc/net/tcp")

    async def none_is_open() -> bool:
        return await open_ones() == 0

    await until(listening)
    stream = await workspace.dial(9001)
    assert await open_ones() == 1
    await stream.close()
    await until(none_is_open)
    for _ in range(3):
        dialling = asyncio.create_task(workspace.dial(9001))
        await asyncio.sleep(0)
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
    await until(none_is_open)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_connection_carries_much_both_ways(workspace: Workspace) -> None:
    echo = (
        "import socket\ns=socket.create_server(('127.0.0.1',9000));c,_=s.accept()\n"
        "while d:=c.recv(65536): c.sendall(d)\nc.close()"
    )
    await workspace.save("echo.py", echo.encode())
    task = asyncio.create_task(workspace.run("python3 echo.py", timeout_s=60))

    async def listening() -> bool:
        return "2328" in await output_of(workspace, "cat /proc/net/tcp")  # 9000 in hexadecimal

    await until(listening)
    stream = await workspace.dial(9000)
    data = bytes(range(256)) * 20_000

    async def send() -> None:
        await stream.write(data)
        await stream.write_eof()

    sending = asyncio.create_task(send())
    received = bytearray()
    while piece := await stream.read():
        received += piece
    await sending
    assert bytes(received) == data
    assert (await task).exit_code == 0


async def test_an_app_that_dies_is_started_again_within_reason(workspace: Workspace) -> None:
    await workspace.start_app(Manifest(start=SERVER, port=8124))
    await output_of(
        workspace, "kill -9 $(grep -slzx 'http[.]server' /proc/[0-9]*/cmdline | grep -o '[0-9]*' | head -1)"
    )

    async def back() -> bool:
        status = await workspace.app_status()
        return status.answering and status.restarts == 1

    await until(back)
    dead = await workspace.start_app(Manifest(start="echo no luck; exit 7", port=8125))
    assert (dead.state, dead.exit_code, dead.answering) == ("died", 7, False)
    assert "no luck" in dead.log_tail


@on_every_kind
async def test_the_app_outlives_who_started_it(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, fence=1, create=True)
    await worker.start_app(Manifest(start=SERVER, port=8126))
    await worker.close()
    api = await runtime.attach(job)
    assert (await api.app_status()).answering
    await api.close()


async def test_a_large_download_does_not_block_twenty_callers(workspace: Workspace) -> None:
    size = 24 << 20
    await output_of(workspace, f"truncate -s {size} large; printf small > small")
    stalled = cast(AsyncGenerator[bytes, None], workspace.download("large"))
    await anext(stalled)  # and the rest is not read

    async def download() -> int:
        return sum([len(piece) async for piece in workspace.download("large")])

    async def ask() -> None:
        while not loading.done():
            began = time.monotonic()
            assert (await workspace.read("small")).content == b"small"
            took.append(time.monotonic() - began)

    took: list[float] = []
    loading = asyncio.create_task(download())
    await asyncio.gather(*(ask() for _ in range(20)))
    assert await loading == size
    assert len(took) > 100
    assert sorted(took)[-len(took) // 100] < 0.5, "p99, on a machine that does other things too"
    await stalled.aclose()

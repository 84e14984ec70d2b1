#!/usr/bin/env bash
# httpx2 2.16.2 with httpcore2 2.16.2 and anyio 4.16.0. A server closes an idle connection, as servers do when they end or
# after some seconds. The client does not notice: anyio reads from a connection only while an answer is awaited. The
# connection stays in CLOSE_WAIT, past `keepalive_expiry`, until the pool is asked for another request or the client is
# closed; `keepalive_expiry` starts no clock. A client of a server that is asked once an hour holds a dead connection for
# an hour, and one that is forgotten fails, with warnings as errors, whatever test runs when it is collected.
set -euo pipefail
here="$(mktemp -d)"
trap 'rm -rf "$here"' EXIT
cd "$here"
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check httpx2==2.16.2 httpcore2==2.16.2 anyio==4.16.0

cat >program.py <<'PROGRAM'
import asyncio

import httpx2

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EXPIRY_S = 0.2
STATES = {"01": "ESTABLISHED", "08": "CLOSE_WAIT"}


def state_of_client(port):
    """As the kernel has it, of the socket that is connected to `port`."""
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(f":{port:04X}") and fields[3] in STATES:
            return STATES[fields[3]]
    return "none"


async def main():
    closed = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        if not closed.is_set():
            await asyncio.sleep(EXPIRY_S)
            writer.close()
            closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = httpx2.AsyncClient(limits=httpx2.Limits(keepalive_expiry=EXPIRY_S))
    print("first answer:", (await client.get(f"http://127.0.0.1:{port}/")).text)
    await closed.wait()
    await asyncio.sleep(10 * EXPIRY_S)
    print("after ten times keepalive_expiry:", state_of_client(port))
    print("second answer:", (await client.get(f"http://127.0.0.1:{port}/")).text)
    print("after it:", state_of_client(port))
    await client.aclose()
    print("after aclose:", state_of_client(port))
    server.close()


asyncio.run(main())
PROGRAM

cat >seen <<'SEEN'
first answer: ok
after ten times keepalive_expiry: CLOSE_WAIT
second answer: ok
after it: ESTABLISHED
after aclose: none
SEEN

venv/bin/python program.py >now
diff seen now && echo "as it was"

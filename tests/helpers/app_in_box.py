"""The app in the box of these tests: a server on plain sockets with good and bad answers. Standard library
only.

Each path is a function that gets the socket, the request line, the headers and the body.
"""

# ruff: noqa: T201 - what it prints is its log

import base64
import hashlib
import html
import json
import os
import socket
import struct
import threading
import time
import urllib.parse
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
go = threading.Event()
wait = threading.Event()
books: list[str] = []


def answer(peer: Any, body: bytes, *more: str, status: str = "200 OK") -> None:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *more, "", ""]
    peer.sendall("\r\n".join(head).encode() + body)


def told(peer: Any, line: str, headers: Any, body: bytes) -> None:
    """Answer with all that reached the box."""
    seen = {"line": line, "headers": headers, "size": len(body), "digest": hashlib.sha256(body).hexdigest()}
    answer(peer, json.dumps(seen).encode(), "Content-Type: application/json")


def page(peer: Any, line: str, headers: Any, body: bytes) -> None:
    answer(peer, b"<!doctype html><title>Books</title><h1>Reading list</h1>", "Content-Type: text/html")


def worker(peer: Any, line: str, headers: Any, body: bytes) -> None:
    """A service worker that answers for `/seen`."""
    script = b"onfetch = at => { if (at.request.url.includes('/seen')) at.respondWith(new Response('x')) }"
    answer(peer, script, "Content-Type: text/javascript")


def shelf(peer: Any, line: str, headers: Any, body: bytes) -> None:
    """A page with a form, and a script that uses a WebSocket of its own origin."""
    if line.startswith("POST"):
        books.append(urllib.parse.parse_qs(body.decode())["title"][0])
        answer(peer, b"", "Location: /shelf", "Set-Cookie: added=yes; HttpOnly", status="303 See Other")
        return
    rows = "".join(f"<li>{html.escape(book)}</li>" for book in books)
    content = f"""<!doctype html><title>Shelf</title><ul>{rows}</ul>
    <form method="post"><input name="title"><button>Add</button></form><script>
    const socket = new WebSocket("ws://" + location.host + "/ws")
    socket.onopen = () => socket.send("from the box")
    socket.onmessage = said => {{ document.title = said.data; parent.postMessage(said.data, "*") }}
    </script>"""
    answer(peer, content.encode(), "Content-Type: text/html; charset=utf-8")


def events(peer: Any, line: str, headers: Any, body: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
    go.wait()
    peer.sendall(b"data: two\n\n")


def release(peer: Any, line: str, headers: Any, body: bytes) -> None:
    go.set()
    answer(peer, b"")


def large(peer: Any, line: str, headers: Any, body: bytes) -> None:
    answer(peer, bytes(range(256)) * 4096)


def cookies(peer: Any, line: str, headers: Any, body: bytes) -> None:
    answer(
        peer,
        b"",
        "Set-Cookie: a=1; Domain=localhost; Path=/; HttpOnly",
        "Set-Cookie: b=2; domain = localhost",
        "Referrer-Policy: unsafe-url",
        "X-Accel-Redirect: /secret/file",
        "X-Accel-Buffering: no",
        "X-Sendfile: /etc/passwd",
        'Clear-Site-Data: "storage"',
        "Connection: X-Private",
        "X-Private: 1",
        "X-Public: 1",
    )


def nothing_new(peer: Any, line: str, headers: Any, body: bytes) -> None:
    peer.sendall(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n")


def early(peer: Any, line: str, headers: Any, body: bytes) -> None:
    """Answer before the body was read."""
    answer(peer, b"no", status="403 Forbidden")
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(65_536):
        pass


def die(peer: Any, line: str, headers: Any, body: bytes) -> None:
    print("<script>alert(1)</script> & goodbye", flush=True)
    os._exit(7)


def web_socket(peer: Any, line: str, headers: Any, body: bytes) -> None:
    """A WebSocket that echoes. On `watch` it sends a message when the file `watched` exists, on `close` it
    closes with 4000, on `drop` it cuts the connection, on `seen` it sends the headers."""
    key = headers["sec-websocket-key"].encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    offered = headers.get("sec-websocket-protocol", "")
    chosen = [f"Sec-WebSocket-Protocol: {offered.split(',')[-1].strip()}"] if offered else []
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {accept}", "Set-Cookie: ws=1; Domain=localhost", *chosen, "", ""]
    peer.sendall("\r\n".join(lines).encode())
    stream = peer.makefile("rb")
    while True:
        opcode, data = read_frame(stream)
        if opcode == 8:
            print("closed with", struct.unpack("!H", data[:2])[0] if data else "nothing", flush=True)
            peer.sendall(frame(8, data[:2]))
            return
        if data == b"close":
            peer.sendall(frame(8, struct.pack("!H", 4000) + b"enough"))
            read_frame(stream)
            return
        if data == b"drop":
            return
        if data == b"watch":
            while not os.path.exists("watched"):
                time.sleep(0.01)
            data = b"reload"
        if data == b"pieces":
            peer.sendall(frame(1, "Bü".encode()[:2], fin=False) + frame(0, b"", fin=False))
            peer.sendall(frame(9, b"ping") + frame(0, "Bü".encode()[2:] + b"cher"))
            assert read_frame(stream) == (10, b"ping")
            continue
        if data == b"huge":
            peer.sendall(b"\x82\x7f" + struct.pack("!Q", 2**40))
            wait.wait()
        if data == b"nonsense":
            peer.sendall(b"\xff\xff\xff")
            wait.wait()
        peer.sendall(frame(1, json.dumps(headers).encode()) if data == b"seen" else frame(opcode, data))


def read_frame(stream: Any) -> tuple[int, bytes]:
    first, second = stream.read(2)
    size = second & 127
    if size >= 126:
        size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
    mask = stream.read(4)
    data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(stream.read(size)))
    return first & 15, data


def frame(opcode: int, data: bytes, fin: bool = True) -> bytes:
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([opcode | (128 if fin else 0)]) + size + data


def endless(start: bytes, piece: bytes) -> Any:
    def send(peer: Any, line: str, headers: Any, body: bytes) -> None:
        peer.sendall(start)
        while True:
            peer.sendall(piece)

    return send


def raw(content: bytes, then_wait: bool = False) -> Any:
    def send(peer: Any, line: str, headers: Any, body: bytes) -> None:
        peer.sendall(content)
        if then_wait:
            wait.wait()

    return send


OK = b"HTTP/1.1 200 OK\r\n"
PATHS = {
    "/": page,
    "/shelf": shelf,
    "/events": events,
    "/release": release,
    "/large": large,
    "/cookies": cookies,
    "/304": nothing_new,
    "/early": early,
    "/die": die,
    "/ws": web_socket,
    "/worker.js": worker,
    "/431": raw(b"HTTP/1.1 431 Too Large\r\nSet-Cookie: a=1\r\nContent-Length: 5\r\n\r\nnever"),
    "/never": raw(b"", then_wait=True),
    "/stalled": raw(OK + b"Content-Length: 10\r\n\r\n12", then_wait=True),
    "/short": raw(OK + b"Content-Length: 10\r\n\r\n12"),
    "/long": raw(OK + b"Content-Length: 2\r\n\r\n" + b"x" * 100_000),
    "/both": raw(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    "/garbage": raw(b"\x00\x01 not HTTP\r\n\r\n"),
    "/silent-end": raw(b""),
    "/status": raw(b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n"),
    "/control": raw(OK + b"X-A: a\x01b\r\nContent-Length: 0\r\n\r\n"),
    "/split": raw(OK + b"X-A: a\rSet-Cookie: x=1\r\nContent-Length: 0\r\n\r\n"),
    "/bad-chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "/switch": raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    "/endless-headers": endless(OK, b"X-A: " + b"a" * 1000 + b"\r\n"),
    "/endless-line": endless(OK + b"X-A: ", b"a" * 65_536),
    "/endless-interim": endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "/endless-body": endless(OK + b"\r\n", b"x" * 65_536),
    "/tiny-chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
}


def serve(peer: Any) -> None:
    try:
        with peer:
            stream = peer.makefile("rb")
            line = stream.readline().decode("latin-1").strip()
            headers: dict[str, str] = {}
            while field := stream.readline().decode("latin-1").strip():
                name, _, value = field.partition(":")
                name = name.lower()
                headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
            path = line.split(" ")[1].partition("?")[0]
            body = b"" if path == "/early" else read_body(stream, headers)
            PATHS.get(path, told)(peer, line, headers, body)
    except (OSError, ValueError, IndexError):
        pass


def read_body(stream: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return bytes(stream.read(int(headers.get("content-length", 0))))
    whole = b""
    while size := int(stream.readline(), 16):
        whole += stream.read(size)
        stream.readline()
    stream.readline()
    return whole


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=100)
    print("listening", flush=True)
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


if __name__ == "__main__":
    main()

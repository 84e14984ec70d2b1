"""A web app of Python's standard library alone: one class answers all requests."""

import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A new app</title>
<h1>Nothing here yet</h1>
</html>
"""


class App(BaseHTTPRequestHandler):
    """Paths and their answers."""

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(PAGE, "text/html")
        elif self.path == "/health":
            self.answer("ok")
        else:
            self.answer("There is no such page.", status=HTTPStatus.NOT_FOUND)

    def answer(self, text: str, kind: str = "text/plain", status: HTTPStatus = HTTPStatus.OK) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), App).serve_forever()

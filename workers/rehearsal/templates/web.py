"""HTTP in one page: requests, responses, routes, and the server that joins them."""

import html
import json
import re
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from urllib.parse import parse_qsl, urlsplit

LARGEST_BODY = 256 * 1024
EVERY_ANSWER = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Problem(Exception):
    """An answer that is not the one hoped for. `message` is a sentence for people."""

    def __init__(self, status, message, errors=None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors or {}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    store: object
    query: dict = field(default_factory=dict)
    body: bytes = b""

    def json(self):
        """The body's JSON object. Raises Problem 400."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Problem(400, "The body must be a JSON object.")
        return value

    def form(self):
        """The fields of a submitted form."""
        return pairs(self.body.decode("utf-8", "replace"))


@dataclass(frozen=True)
class Response:
    body: str | bytes = ""
    status: int = 200
    content_type: str = "text/html; charset=utf-8"
    headers: dict = field(default_factory=dict)


def pairs(text):
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))
    except ValueError:
        raise Problem(400, "There are too many fields.") from None


def as_json(value, status=200):
    return Response(json.dumps(value, ensure_ascii=False), status, "application/json")


def redirect(path):
    return Response(status=303, headers={"Location": path})


def answer(routes, request):
    """The response of the first route whose method and pattern fit; a refusal is a response too."""
    try:
        methods = set()
        for method, pattern, handle in routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return handle(request, *match.groups())
            if match:
                methods.add(method)
        if methods:
            raise Problem(405, f"This page only answers to {', '.join(sorted(methods))}.")
        raise Problem(404, "There is nothing at this address.")
    except Problem as problem:
        return refusal(request.path, problem)


def refusal(path, problem):
    if path.startswith("/api/"):
        return as_json({"message": problem.message, "errors": problem.errors}, problem.status)
    title = HTTPStatus(problem.status).phrase
    return Response(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/static/style.css"></head><body><main class="narrow">'
        f'<h1>{title}</h1><p>{html.escape(problem.message)}</p><p><a href="/">Back to the start</a></p>'
        "</main></body></html>",
        problem.status,
    )


def health(request):
    return as_json({"status": "ok"})


ROUTES = [("GET", "/health", health)]


class Server(ThreadingTCPServer):
    """Serves `routes` over `store`; with port 0 the system picks one (`server_address[1]`)."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, routes, store):
        self.routes = routes
        self.store = store
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "App"
    sys_version = ""
    timeout = 30

    def _handle(self):
        url = urlsplit(self.path)
        try:
            method = "GET" if self.command == "HEAD" else self.command
            request = Request(method, url.path, self.server.store, pairs(url.query), self._body())
            self._refuse_other_sites(request)
            response = answer(self.server.routes, request)
        except Problem as problem:
            response = refusal(url.path, problem)
        except Exception as error:  # the last line of defence: people get a sentence, the log gets the cause
            self.log_error("%s %s: %r", self.command, url.path, error)
            response = refusal(url.path, Problem(500, "Something went wrong here. Please try again."))
        self._send(response)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def _body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isascii() or not length.isdigit() or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise Problem(400, "The request's length is missing or wrong.")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise Problem(413, "That is too much at once.")
        return self.rfile.read(int(length))

    def _refuse_other_sites(self, request):
        """Browsers say where a request comes from: another site may not change anything here."""
        if request.method != "GET" and self.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Problem(403, "Another site may not change anything here.")

    def _send(self, response):
        body = response.body.encode() if isinstance(response.body, str) else response.body
        self.send_response(response.status)
        for name, value in (EVERY_ANSWER | response.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")

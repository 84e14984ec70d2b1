"""Pages of ours, as HTML: they have no scripts and load nothing. And the headers with which a browser does
nothing else with any answer of ours."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from starlette.responses import Response

NO_FRAMES = "frame-ancestors 'none'"
ANY_FRAME = "frame-ancestors http: https:"
"""For pages on a preview's origin: wherever the app is framed, they stand in its place."""

GUARDS = {
    "Content-Security-Policy": f"default-src 'none'; base-uri 'none'; form-action 'none'; {NO_FRAMES}",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Stand on every answer of ours. A page that needs more has its own policy."""

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto 0;padding:0 1.5rem;"
    "color:#1f2430;background:#fafafa}h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:0 0 1rem;color:#5a6272}"
    "pre{background:#1f2430;color:#e8eaf0;padding:1rem;border-radius:.5rem;overflow:auto;font-size:.8rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere}"
)
REFRESH_S = 1


def digest_of(text: str) -> str:
    """How a Content-Security-Policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE_DIGEST = digest_of(_STYLE)


def page(
    status: int,
    title: str,
    words: str,
    *,
    log: str = "",
    refresh: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`words` are a paragraph, `log` stands below it as it is. With `refresh` the page loads itself again
    every second."""
    again = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    said = f"<pre>{escape(log)}</pre>" if log else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>{again}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{words}</p>{said}</html>\n"
    )
    ours = {
        "Content-Security-Policy": f"default-src 'none'; style-src {_STYLE_DIGEST}; "
        f"base-uri 'none'; form-action 'none'; {ANY_FRAME}",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    return Response(body, status, {**ours, **(headers or {})}, "text/html")


def too_many_cookies() -> Response:
    """For a request whose head is so long that no server takes it. Only cookies make a browser's so long, and
    it would send them with each request for as long as they live: up to 400 days."""
    words = (
        "Your browser sent so many cookies that no server takes them. An app must have set them. Your "
        "browser was asked to delete them: load this page again. If it comes back, delete the cookies of "
        "this address in the browser's settings."
    )
    return page(431, "Too many cookies", words, headers={"Clear-Site-Data": '"cookies"'})


def too_long() -> Response:
    return Response("The request's head is too long.", 431, GUARDS, "text/plain")


def not_http(words: str) -> Response:
    return Response(words, 400, GUARDS, "text/plain")


def as_bytes(answer: Response) -> bytes:
    """An answer as it goes over the wire, for requests that reach no application. It ends the connection."""
    lines = [b"HTTP/1.1 %d %b" % (answer.status_code, _PHRASES[answer.status_code])]
    lines += [b"%b: %b" % pair for pair in answer.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])


_PHRASES = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}

"""Our own pages on a preview's origin, for when there is no answer of the app. They have no scripts and load
nothing."""

import base64
import hashlib
from html import escape

from starlette.responses import Response

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto 0;padding:0 1.5rem;"
    "color:#1f2430;background:#fafafa}h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:0 0 1rem;color:#5a6272}"
    "pre{background:#1f2430;color:#e8eaf0;padding:1rem;border-radius:.5rem;overflow:auto;font-size:.8rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere}"
)
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
    "base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
REFRESH_S = 1
LOG_CHARS = 8000


def void() -> Response:
    """One page for all reasons: unknown, expired, another start of the app, a session that has ended."""
    return _page(
        404, "There is no preview here", "It has ended, or there never was one. Open it again from Boardroom."
    )


def starting() -> Response:
    return _page(
        503, "The app is starting", "This page looks again every second.", refresh=True, retry_after=REFRESH_S
    )


def just_a_moment() -> Response:
    """The app is being brought to a new version, with its data."""
    words = "A new version of the app is being put in place. This page looks again every second."
    return _page(503, "Just a moment", words, refresh=True, retry_after=REFRESH_S)


def died(exit_code: int | None, log: str) -> Response:
    how = "" if exit_code is None else f" with exit code {exit_code}"
    words = f"It ended{how}. The end of its log is below. Start it again from Boardroom."
    return _page(502, "The app has stopped", words, log=log[-LOG_CHARS:])


def broken() -> Response:
    """It does not speak HTTP, or broke off."""
    return _page(502, "The app gave no proper answer", "It sent something that is not HTTP, or broke off.")


def too_slow() -> Response:
    return _page(504, "The app does not answer", "It accepted the request and sent nothing.")


def too_large() -> Response:
    return _page(413, "That is too much", "No request to a preview may be larger than 64 MiB.")


def too_many() -> Response:
    return _page(503, "Too many at once", "This preview has too many open connections.", retry_after=1)


def unavailable() -> Response:
    return _page(503, "Not right now", "A part that Boardroom needs does not answer.", retry_after=2)


def _page(
    status: int,
    title: str,
    words: str,
    *,
    log: str = "",
    refresh: bool = False,
    retry_after: int | None = None,
) -> Response:
    again = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    said = f"<pre>{escape(log)}</pre>" if log else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>{again}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{words}</p>{said}</html>\n"
    )
    headers = _HEADERS if retry_after is None else {**_HEADERS, "Retry-After": str(retry_after)}
    return Response(body, status, headers, "text/html")

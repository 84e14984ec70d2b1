"""Our own pages on a preview's origin, for when there is no answer of the app."""

from starlette.responses import Response

from app.api.wire.page import REFRESH_S, page

LOG_CHARS = 8000


def void() -> Response:
    """One page for all reasons: unknown, expired, another start of the app, a session that has ended."""
    return page(
        404, "There is no preview here", "It has ended, or there never was one. Open it again from Boardroom."
    )


def starting() -> Response:
    words = "This page looks again every second."
    return page(503, "The app is starting", words, refresh=True, headers=_after(REFRESH_S))


def just_a_moment() -> Response:
    """The app is being brought to a new version, with its data."""
    words = "A new version of the app is being put in place. This page looks again every second."
    return page(503, "Just a moment", words, refresh=True, headers=_after(REFRESH_S))


def died(exit_code: int | None, log: str) -> Response:
    how = "" if exit_code is None else f" with exit code {exit_code}"
    words = f"It ended{how}. The end of its log is below. Start it again from Boardroom."
    return page(502, "The app has stopped", words, log=log[-LOG_CHARS:])


def broken() -> Response:
    """It does not speak HTTP, or broke off."""
    return page(502, "The app gave no proper answer", "It sent something that is not HTTP, or broke off.")


def too_slow() -> Response:
    return page(504, "The app does not answer", "It accepted the request and sent nothing.")


def too_large() -> Response:
    return page(413, "That is too much", "No request to a preview may be larger than 64 MiB.")


def too_many() -> Response:
    return page(503, "Too many at once", "This preview has too many open connections.", headers=_after(1))


def unavailable() -> Response:
    return page(503, "Not right now", "A part that Boardroom needs does not answer.", headers=_after(2))


def moved(url: str) -> Response:
    """The address is one of an earlier version, from which this one has another domain."""
    words = "Addresses of apps have changed. Your browser is led to the new one."
    return page(307, "This app has a new address", words, headers={"Location": url})


def _after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}

"""Which headers pass between a client and an app in a box, and which are changed."""

from collections.abc import Iterable

Pair = tuple[bytes, bytes]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_TO_THE_APP = _HOP_BY_HOP | {b"authorization", b"cookie", b"expect", b"forwarded"}
_NOT_FROM_THE_APP = _HOP_BY_HOP | {b"alt-svc", b"date", b"referrer-policy", b"server", b"set-cookie"}
_FOR_OUR_PROXY = (b"x-accel-", b"x-sendfile", b"x-lighttpd-send-file", b"x-reproxy-")
"""What these begin tells the proxy in front of us to send a file of its own, or another address' answer."""

_CLEARS_THE_SITE = b"clear-site-data"
_API_COOKIES = ("boardroom_",)

_OURS = (
    # The host name contains the credential, so it must not reach other sites as a referrer.
    (b"referrer-policy", b"same-origin"),
    (b"x-robots-tag", b"noindex"),
)


def for_the_app(headers: Iterable[Pair], *, client: str, scheme: str) -> list[Pair]:
    """A request's headers for the app: without our credentials, with the real address of the client."""
    given = [(name.lower(), value) for name, value in headers]
    left_out = _NOT_TO_THE_APP | _named_by_connection(given)
    passed = [
        (name, value)
        for name, value in given
        if name not in left_out and not name.startswith((b"x-forwarded-", b"x-real-", b":"))
    ]
    host = next((value for name, value in given if name == b"host"), b"")
    if cookies := _cookies(value for name, value in given if name == b"cookie"):
        passed.append((b"cookie", cookies))
    return [
        *passed,
        (b"x-forwarded-for", client.encode("latin-1")),
        (b"x-forwarded-host", host),
        (b"x-forwarded-proto", scheme.encode()),
    ]


def from_the_app(headers: Iterable[Pair], *, shared_site: bool) -> list[Pair]:
    """An answer's headers for the client. Cookies are limited to the preview's own host. On a site that apps
    share, none of them may clear it."""
    given = [(name.lower(), value) for name, value in headers]
    left_out = _NOT_FROM_THE_APP | _named_by_connection(given)
    if shared_site:
        left_out |= {_CLEARS_THE_SITE}
    passed = [
        (name, value) for name, value in given if name not in left_out and not name.startswith(_FOR_OUR_PROXY)
    ]
    passed += [(name, _for_this_host(value)) for name, value in given if name == b"set-cookie"]
    return [*passed, *_OURS]


def size_of_cookies(headers: Iterable[Pair]) -> int:
    """Bytes of cookies in a request's headers."""
    return sum(len(value) for name, value in headers if name == b"cookie")


def _named_by_connection(headers: Iterable[Pair]) -> frozenset[bytes]:
    return frozenset(
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    )


def _cookies(lines: Iterable[bytes]) -> bytes:
    cookies = [cookie.strip() for line in lines for cookie in line.split(b";")]
    return b"; ".join(cookie for cookie in cookies if cookie and not _is_ours(cookie))


def _is_ours(cookie: bytes) -> bool:
    return cookie.decode("latin-1").strip().lower().startswith(_API_COOKIES)


def _for_this_host(cookie: bytes) -> bytes:
    value, *attributes = cookie.split(b";")
    kept = [each for each in attributes if each.strip().partition(b"=")[0].strip().lower() != b"domain"]
    return b";".join([value, *kept])

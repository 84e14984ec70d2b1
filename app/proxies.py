"""Which proxy of the environment an address is reached through.

The HTTP libraries decide this themselves, but each a little differently: none leaves the loopback alone, and
networks in `NO_PROXY` are unknown to most. So it is decided here and told to them, with `trust_env=False`.
"""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class UnusableProxy(Exception):
    """The environment names a proxy that cannot be used. The message says why, without its password."""


def proxy_for(url: str) -> str | None:
    """The proxy for `url`: that of HTTP_PROXY or HTTPS_PROXY, else of ALL_PROXY. None for this machine
    itself and for what NO_PROXY names. Raises UnusableProxy."""
    parts = urlsplit(url)
    found = getproxies_environment()
    kind = parts.scheme if found.get(parts.scheme) else "all"
    named = found.get(kind, "").strip()
    if not named or is_loopback(parts.hostname or "") or _spared(parts, found.get("no", "")):
        return None
    proxy = named if "://" in named else f"http://{named}"
    if problem := _problem(proxy):
        raise UnusableProxy(
            f"{kind.upper()}_PROXY names a proxy that cannot be used: {problem}. Set another one, or name "
            f"{parts.hostname} in NO_PROXY."
        )
    return proxy


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine by its spelling."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped is not None and (mapped.is_loopback or mapped.is_unspecified)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9.]+", host) else None
    except OSError:
        return None


def _spared(parts: SplitResult, no_proxy: str) -> bool:
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme)
    return any(_names(entry.lower(), host, port) for entry in re.split(r"[,\s]+", no_proxy) if entry)


def _names(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY (a name with all below it, an address, a network, each with or without a
    port, or `*`) means this host."""
    if entry == "*":
        return True
    if (address := _address(host)) and (network := _network(entry)):
        return address in network
    if with_port := re.fullmatch(r"(\[.+\]|[^:]+):(\d+)", entry):
        if int(with_port[2]) != port:
            return False
        entry = with_port[1]
    if address:
        return _address(entry) == address
    name = entry.removeprefix("*").strip(".")
    return host == name or host.endswith(f".{name}")


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False) if "/" in entry else None
    except ValueError:
        return None


def _problem(proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        if parts.scheme not in SCHEMES:
            return f"{parts.scheme}:// is none of {', '.join(SCHEMES)}"
        return "" if parts.hostname and parts.port != 0 else "it names no server"
    except ValueError:
        return "it is no address"

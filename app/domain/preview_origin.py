"""The addresses of previews: each app has an origin of its own, which is never the API's."""

import re
from urllib.parse import urlsplit

PLACEHOLDER = "{token}"
TOKEN = re.compile(r"[a-z2-7]{32}")

DEFAULT_ORIGIN = "http://{token}.localhost:{port}"
"""Browsers take each name directly below `localhost` as a site of its own."""

FORMER = "preview.localhost"
"""The domain of previews before that was the default. Browsers take all names below it as one site. Its
addresses lead to the new ones."""


class PreviewOrigin:
    """The setting PREVIEW_ORIGIN. The host of `template` begins with the label `{token}`; `:{port}` at its
    end stands for the port of the request that asks for an address. Below the domain only labels in the form
    of a token belong to previews, and all names below such a label."""

    def __init__(self, template: str) -> None:
        """Raises ValueError for another form."""
        address = urlsplit(template.replace(PLACEHOLDER, "token").replace(":{port}", ""))
        label, _, domain = (address.hostname or "").partition(".")
        scheme, bare = address.scheme, address.netloc and not (address.path or address.query)
        if label != "token" or not domain or scheme not in ("http", "https") or not bare:
            raise ValueError(f"must look like {DEFAULT_ORIGIN}")
        self.scheme = address.scheme
        self.domain = domain
        self._template = template
        self._former = FORMER if domain == "localhost" else None

    @property
    def is_shared(self) -> bool:
        """Whether browsers take all apps as one site, so that one can set cookies for all. It is so below
        every domain of several labels, unless that is on the Public Suffix List, which we do not look up."""
        return "." in self.domain

    def url_for(self, token: str, our_host: str) -> str:
        """The address of a preview. `our_host` is the `Host` of the request that asks for it."""
        _, colon, port = our_host.rpartition(":")
        given = f":{port}" if colon and port.isdecimal() else ""
        return self._template.replace(PLACEHOLDER, token).replace(":{port}", given)

    def holds(self, host: str) -> bool:
        """Whether a host, with or without a port, belongs to previews."""
        name = _name(host)
        return any(
            TOKEN.fullmatch(below.rpartition(".")[2])
            for domain in (self.domain, self._former)
            if domain and (below := _below(name, domain))
        )

    def holds_origin(self, origin: str) -> bool:
        """Whether an origin belongs to previews."""
        return self.holds(origin.partition("://")[2])

    def token_of(self, host: str) -> str | None:
        """The token in a host; None if there is none."""
        return _token(_below(_name(host), self.domain))

    def former_token_of(self, host: str) -> str | None:
        """The token in a host below the former domain; None if there is none."""
        return _token(_below(_name(host), self._former)) if self._former else None


def _name(host: str) -> str:
    """The host in lower case, without port and trailing dot."""
    return host.strip().lower().partition(":")[0].rstrip(".")


def _below(name: str, domain: str) -> str:
    """The labels of `name` below `domain`; empty if it is not below it."""
    return name.removesuffix(f".{domain}") if name.endswith(f".{domain}") else ""


def _token(label: str) -> str | None:
    return label if TOKEN.fullmatch(label) else None

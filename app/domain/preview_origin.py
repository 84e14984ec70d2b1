"""Where apps in boxes are seen: each on an origin of its own, which is none of ours."""

import re
from urllib.parse import urlsplit

PLACEHOLDER = "{token}"
TOKEN = re.compile(r"[a-z2-7]{32}")


class PreviewOrigin:
    """PREVIEW_ORIGIN: the host of `template` begins with the label `{token}`, and `:{port}` at its end is the
    port by which a caller reaches us. The domain after the token, and all below it, is for previews alone."""

    def __init__(self, template: str) -> None:
        """ValueError when it has another form."""
        address = urlsplit(template.replace(PLACEHOLDER, "token").replace(":{port}", ""))
        label, _, domain = (address.hostname or "").partition(".")
        scheme, bare = address.scheme, address.netloc and not (address.path or address.query)
        if label != "token" or not domain or scheme not in ("http", "https") or not bare:
            raise ValueError("must look like http://{token}.preview.localhost:{port}")
        self.scheme = address.scheme
        self._template = template
        self._domain = domain

    def url_for(self, token: str, our_host: str) -> str:
        """The address of a preview; `our_host`, with its port, is the one by which the caller reached us."""
        _, colon, port = our_host.rpartition(":")
        given = f":{port}" if colon and port.isdecimal() else ""
        return self._template.replace(PLACEHOLDER, token).replace(":{port}", given)

    def holds(self, host: str) -> bool:
        """Whether a host, with or without a port, is that of a preview."""
        name = _name(host)
        return name == self._domain or name.endswith(f".{self._domain}")

    def holds_origin(self, origin: str) -> bool:
        """Whether a page of this origin is an app's."""
        return self.holds(origin.partition("://")[2])

    def token_of(self, host: str) -> str | None:
        """The token in a host's name; None when there is none."""
        name = _name(host).removesuffix(f".{self._domain}")
        return name if TOKEN.fullmatch(name) else None


def _name(host: str) -> str:
    """Without the port, in lower case, and without the dot that a full name may end with."""
    return host.strip().lower().partition(":")[0].rstrip(".")

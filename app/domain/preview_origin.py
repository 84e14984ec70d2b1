"""The addresses of previews: each app has an origin of its own, which is never the API's."""

import re
from urllib.parse import urlsplit

PLACEHOLDER = "{token}"
TOKEN = re.compile(r"[a-z2-7]{32}")


class PreviewOrigin:
    """The setting PREVIEW_ORIGIN. The host of `template` begins with the label `{token}`; `:{port}` at its
    end stands for the port of the request that asks for an address. The domain after the token is used for
    previews only, with all its subdomains."""

    def __init__(self, template: str) -> None:
        """Raises ValueError for another form."""
        address = urlsplit(template.replace(PLACEHOLDER, "token").replace(":{port}", ""))
        label, _, domain = (address.hostname or "").partition(".")
        scheme, bare = address.scheme, address.netloc and not (address.path or address.query)
        if label != "token" or not domain or scheme not in ("http", "https") or not bare:
            raise ValueError("must look like http://{token}.preview.localhost:{port}")
        self.scheme = address.scheme
        self._template = template
        self._domain = domain

    def url_for(self, token: str, our_host: str) -> str:
        """The address of a preview. `our_host` is the `Host` of the request that asks for it."""
        _, colon, port = our_host.rpartition(":")
        given = f":{port}" if colon and port.isdecimal() else ""
        return self._template.replace(PLACEHOLDER, token).replace(":{port}", given)

    def holds(self, host: str) -> bool:
        """Whether a host, with or without a port, belongs to previews."""
        name = _name(host)
        return name == self._domain or name.endswith(f".{self._domain}")

    def holds_origin(self, origin: str) -> bool:
        """Whether an origin belongs to previews."""
        return self.holds(origin.partition("://")[2])

    def token_of(self, host: str) -> str | None:
        """The token in a host; None if there is none."""
        name = _name(host).removesuffix(f".{self._domain}")
        return name if TOKEN.fullmatch(name) else None


def _name(host: str) -> str:
    """The host in lower case, without port and trailing dot."""
    return host.strip().lower().partition(":")[0].rstrip(".")

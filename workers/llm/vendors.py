"""Opens a model of a vendor in `app.domain.vendors`. Each wire's module is imported when it is used: some
take a second, and some are optional parts of our package."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from app.domain.vendors import VENDORS, Vendor, wire_of
from workers.llm.endpoint import Endpoint
from workers.llm.model import Model, Tokens

Price = Callable[[Tokens], float | None]


class NotInstalled(Exception):
    """A vendor's models take an optional part of our package. The message says how to install it."""


@dataclass(frozen=True)
class Server:
    """`url` and `key` as they were set; empty if they were not. `region` is for Bedrock."""

    url: str = ""
    key: str = ""
    region: str = ""


def open_model(kind: str, name: str, server: Server, endpoint: Endpoint, price: Price) -> Model:
    """Raises NotInstalled and UnusableProxy."""
    vendor = VENDORS[kind]
    wire = wire_of(kind, name, server.url)
    try:
        opener = import_module(_MODULES[wire])
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"{kind}:{name} needs the extra part: .venv/bin/pip install -e '.[{vendor.extra}]' "
            f"({missing.name} is not installed)."
        ) from missing
    opened: Model = opener.open_model(kind, name, _reached(vendor, server), endpoint, price)
    return opened


_MODULES = {
    "chat": "workers.llm.provider",
    "responses": "workers.llm.responses",
    "anthropic": "workers.llm.claude",
    "google": "workers.llm.gemini",
    "bedrock": "workers.llm.bedrock",
}


def _reached(vendor: Vendor, server: Server) -> Server:
    return Server(server.url or vendor.usual, server.key, server.region)

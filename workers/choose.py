"""Which models are used: those that `MODEL` and the settings `MODEL_…` name. A key alone never selects a
model.

The modules of real models are imported only when one is chosen: that takes seconds, and Anthropic's library
is an optional extra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from app.domain.vendors import VENDORS
from app.proxies import UnusableProxy
from workers.llm.endpoint import Endpoint
from workers.llm.lineup import Lineup
from workers.llm.model import Model, Tokens
from workers.llm.tape import NoTape, open_tape
from workers.llm.vendors import NotInstalled, Server, open_model
from workers.rehearsal.cast import RehearsalModel

KNOWN = (
    "There is: rehearsal (a scripted cast, no key needed), tape:<file> (a job that was recorded), and "
    f"<vendor>:<name> with one of these vendors: {', '.join(VENDORS)}. openai is also any server that speaks "
    "OpenAI's chat completions at OPENAI_BASE_URL."
)


class UnknownModel(Exception):
    """`MODEL` or one of the settings `MODEL_…` cannot be used. The message says why."""


@dataclass(frozen=True)
class Names:
    """MODEL, MODEL_<ROLE> by agent, MODEL_STRONG, MODEL_FALLBACK (empty if not set), and MODEL_MAX_TOKENS as
    `longest`."""

    first: str
    roles: Mapping[str, str]
    strong: str = ""
    fallback: str = ""
    longest: int | None = None


@dataclass(frozen=True)
class Servers:
    """Where real models are, by vendor. The prices are for models at an address that was
    set, in USD for a million tokens; None if the operator has set none."""

    endpoint: Endpoint
    reached: Mapping[str, Server]
    input_price: float | None = None
    output_price: float | None = None


def choose(names: Names, servers: Servers, rehearsal_pace: float, *, usd_limited: bool) -> Lineup:
    """Raises UnknownModel, also if there is a budget in USD (`usd_limited`) and the price of a model is
    unknown."""
    opened: dict[str, Model] = {}

    def find(name: str) -> Model:
        if name not in opened:
            try:
                opened[name] = _open(name, servers, rehearsal_pace)
            except UnusableProxy as problem:
                raise UnknownModel(f"{name} cannot be reached: {problem}") from problem
            if usd_limited and opened[name].price(Tokens(1, 1)) is None:
                raise UnknownModel(
                    f"There is a budget in USD, but nobody knows what {name} costs. Set "
                    "MODEL_INPUT_PRICE_USD and MODEL_OUTPUT_PRICE_USD (for a million tokens), or a budget in "
                    "tokens instead."
                )
        return opened[name]

    return Lineup(
        first=find(names.first),
        roles={agent: find(name) for agent, name in names.roles.items() if name},
        strong=find(names.strong) if names.strong else None,
        fallback=find(names.fallback) if names.fallback else None,
        longest=names.longest,
    )


def _open(name: str, servers: Servers, rehearsal_pace: float) -> Model:
    if name == "rehearsal":
        return RehearsalModel(rehearsal_pace)
    kind, _, model = name.partition(":")
    if kind in VENDORS and model:
        return _open_vendors(kind, model, servers)
    if kind == "tape" and model:
        return _open_tape(model)
    raise UnknownModel(f"MODEL={name} is not known. {KNOWN}")


def _open_tape(file: str) -> Model:
    try:
        return open_tape(Path(file))
    except NoTape as problem:
        raise UnknownModel(f"MODEL=tape:{file}: {problem}") from problem


def _open_vendors(kind: str, model: str, servers: Servers) -> Model:
    vendor, server = VENDORS[kind], servers.reached.get(kind, Server())
    if vendor.needs and not (server.url or server.key or server.region):
        own = ", or OPENAI_BASE_URL for a server of your own" if kind == "openai" else ""
        raise UnknownModel(f"{kind}:{model} needs {vendor.needs[0]}{own}.")
    prices = import_module("workers.llm.prices")
    if (
        servers.input_price is not None
        and servers.output_price is not None
        and (server.url or not vendor.prices)
    ):
        price = prices.fixed(servers.input_price, servers.output_price)
    elif server.url:
        price = prices.listed(model, address=server.url)
    else:
        price = prices.listed(model, provider=vendor.prices or "none")
    try:
        return open_model(kind, model, server, servers.endpoint, price)
    except NotInstalled as missing:
        raise UnknownModel(str(missing)) from missing

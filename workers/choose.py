"""Which models are used: those that `MODEL` and the settings `MODEL_…` name. A key alone never selects a
model.

The modules of real models are imported only when one is chosen: that takes seconds, and Anthropic's library
is an optional extra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from app.proxies import UnusableProxy
from workers.llm.endpoint import Endpoint
from workers.llm.lineup import Lineup
from workers.llm.model import Model, Tokens
from workers.llm.tape import NoTape, open_tape
from workers.rehearsal.cast import RehearsalModel

KNOWN = (
    "There is: rehearsal (a scripted cast, no key needed), openai:<name> (OpenAI, or any server that speaks "
    "its chat completions at OPENAI_BASE_URL), anthropic:<name>, tape:<file> (a job that was recorded)."
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
    """Where real models are. The prices are those of the model at `openai_base_url`, in USD for a million
    tokens; None if the operator has set none."""

    endpoint: Endpoint
    openai_base_url: str = ""
    openai_key: str = ""
    anthropic_base_url: str = ""
    anthropic_key: str = ""
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
    if kind == "openai" and model:
        return _open_openai(model, servers)
    if kind == "anthropic" and model:
        return _open_anthropic(model, servers)
    if kind == "tape" and model:
        return _open_tape(model)
    raise UnknownModel(f"MODEL={name} is not known. {KNOWN}")


def _open_tape(file: str) -> Model:
    try:
        return open_tape(Path(file))
    except NoTape as problem:
        raise UnknownModel(f"MODEL=tape:{file}: {problem}") from problem


def _open_openai(model: str, servers: Servers) -> Model:
    if not servers.openai_key and not servers.openai_base_url:
        raise UnknownModel(
            f"openai:{model} needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own."
        )
    prices = import_module("workers.llm.prices")
    if servers.openai_base_url and servers.input_price is not None and servers.output_price is not None:
        price = prices.fixed(servers.input_price, servers.output_price)
    elif servers.openai_base_url:
        price = prices.listed(model, address=servers.openai_base_url)
    else:
        price = prices.listed(model, provider="openai")
    opened: Model = import_module("workers.llm.provider").open_openai(
        model,
        base_url=servers.openai_base_url,
        key=servers.openai_key,
        endpoint=servers.endpoint,
        price=price,
    )
    return opened


def _open_anthropic(model: str, servers: Servers) -> Model:
    if not servers.anthropic_key:
        raise UnknownModel(f"anthropic:{model} needs ANTHROPIC_API_KEY.")
    try:
        claude = import_module("workers.llm.claude")
    except ModuleNotFoundError as missing:
        raise UnknownModel(
            f"anthropic:{model} needs the extra part: .venv/bin/pip install -e '.[anthropic]' "
            f"({missing.name} is not installed)."
        ) from missing
    opened: Model = claude.open_anthropic(
        model,
        base_url=servers.anthropic_base_url,
        key=servers.anthropic_key,
        endpoint=servers.endpoint,
        price=import_module("workers.llm.prices").listed(model, provider="anthropic"),
    )
    return opened

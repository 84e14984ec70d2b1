"""Prices of tokens in USD, from lists that a library contains. Nothing is looked up over a network."""

from collections.abc import Callable

from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation

from workers.llm.model import Tokens

MILLION = 1_000_000

Price = Callable[[Tokens], float | None]


def fixed(input_usd: float, output_usd: float) -> Price:
    """A price that the operator has set, in USD for a million tokens. Tokens read from a cache or written
    to it cost the same."""

    def price(tokens: Tokens) -> float:
        return (tokens.input * input_usd + tokens.output * output_usd) / MILLION

    return price


def listed_window(model: str, *, provider: str = "", address: str = "") -> int | None:
    """The context window of a model, in tokens, from the same lists. None if they do not know it."""
    found = _found(Usage(), model, provider, address)
    return found.model.context_window if found is not None else None


def listed(model: str, *, provider: str = "", address: str = "") -> Price:
    """A price from the list of `provider`, or of the provider at `address`. A model at an unknown address has
    no price, even if another provider has a model of the same name."""

    def price(tokens: Tokens) -> float | None:
        usage = Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cached,
            cache_write_tokens=tokens.written,
        )
        found = _found(usage, model, provider, address)
        return float(found.total_price) if found is not None else None

    return price


def _found(usage: Usage, model: str, provider: str, address: str) -> PriceCalculation | None:
    try:
        if provider:
            return calc_price(usage, model, provider_id=provider)
        return calc_price(usage, model, provider_api_url=address)
    except LookupError:
        return None

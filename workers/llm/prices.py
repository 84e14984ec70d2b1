"""Prices of tokens in USD, from lists that a library contains. Nothing is looked up over a network."""

from collections.abc import Callable

from genai_prices import Usage, calc_price

from workers.llm.model import Tokens

MILLION = 1_000_000

Price = Callable[[Tokens], float | None]


def fixed(input_usd: float, output_usd: float) -> Price:
    """A price that the operator has set, in USD for a million tokens. Tokens read from a cache or written
    to it cost the same."""

    def price(tokens: Tokens) -> float:
        return (tokens.input * input_usd + tokens.output * output_usd) / MILLION

    return price


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
        try:
            if provider:
                return float(calc_price(usage, model, provider_id=provider).total_price)
            return float(calc_price(usage, model, provider_api_url=address).total_price)
        except LookupError:
            return None

    return price

"""What tokens cost, in USD, by lists that come with a library: nothing is asked over a network."""

from collections.abc import Callable

from genai_prices import Usage, calc_price

from workers.llm.model import Tokens

MILLION = 1_000_000

Price = Callable[[Tokens], float | None]


def fixed(input_usd: float, output_usd: float) -> Price:
    """A price of the operator's own, in USD for a million tokens; what was cached costs the same."""

    def price(tokens: Tokens) -> float:
        return (tokens.input * input_usd + tokens.output * output_usd) / MILLION

    return price


def listed(model: str, *, provider: str = "", address: str = "") -> Price:
    """By the price list of `provider`, or of whoever answers at `address`. A model behind an address of its
    own is never priced as somebody else's of the same name: then nobody knows."""

    def price(tokens: Tokens) -> float | None:
        usage = Usage(input_tokens=tokens.input, output_tokens=tokens.output, cache_read_tokens=tokens.cached)
        try:
            if provider:
                return float(calc_price(usage, model, provider_id=provider).total_price)
            return float(calc_price(usage, model, provider_api_url=address).total_price)
        except LookupError:
            return None

    return price

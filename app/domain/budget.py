"""Budgets for the use of language models, and the use of one request."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Tokens (in and out together) and USD: the most for a job, which may have lower limits of its own, and
    for all jobs of a user on one day (UTC). None is no limit."""

    job_tokens: int | None = None
    job_usd: float | None = None
    day_tokens: int | None = None
    day_usd: float | None = None

    def day_holds(self, use: "Use") -> bool:
        """Whether it would fit in a day on which nothing else is used."""
        tokens = self.day_tokens is None or use.total <= self.day_tokens
        return tokens and (self.day_usd is None or (use.cost_usd or 0.0) <= self.day_usd)


@dataclass(frozen=True)
class Use:
    """What one request has used, or can use at most. Parts of the input are `cached_tokens`, which were read
    from the provider's cache, and `cache_write_tokens`, which were stored there; `cost_usd` is None if the
    price is unknown."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost_usd: float | None = 0.0
    cache_write_tokens: int = 0

    @property
    def total(self) -> int:
        return self.input_tokens + self.output_tokens


NO_LIMITS = Limits()

"""How often a way in may be tried. Counted in PostgreSQL, so that all processes count together."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from app.domain.errors import TooMany
from app.store import attempts
from app.unit import Unit


@dataclass(frozen=True)
class Limit:
    """`most` attempts in each `window`, for each of whatever is counted."""

    name: str
    most: int
    window: timedelta


REGISTER = Limit("register", 120, timedelta(minutes=1))
LOGIN_ADDRESS = Limit("login-address", 100, timedelta(minutes=5))
LOGIN = Limit("login", 10, timedelta(minutes=5))
"""Wrong passwords for one email from one address: nobody can lock out somebody else."""


async def spend(unit: Unit, limit: Limit, whom: str) -> TooMany | None:
    """Count one attempt. Where it is one too many the refusal, with the seconds until the window ends: to be
    raised once the unit is committed, since it counts, too."""
    number, left = await attempts.count(unit.session, f"{limit.name}:{whom}", limit.window)
    if number <= limit.most:
        return None
    return TooMany(
        "Too many attempts. Wait a moment and try again.",
        code="too_many_attempts",
        retry_after=max(1, ceil(left.total_seconds())),
    )


async def give_back(unit: Unit, limit: Limit, whom: str) -> None:
    """The attempt was in order and does not count."""
    await attempts.give_back(unit.session, f"{limit.name}:{whom}")

"""Limits for login and registration. They are counted in PostgreSQL, so that all processes count together."""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from app.domain.errors import TooMany
from app.store import attempts
from app.store.statements import Statements


@dataclass(frozen=True)
class Limit:
    """`most` attempts in each `window`, per address or per email and address."""

    name: str
    most: int
    window: timedelta

    def key(self, whom: str) -> str:
        """The key under which attempts of `whom` are counted."""
        return f"{self.name}:{whom}"


REGISTER = Limit("register", 120, timedelta(minutes=1))
LOGIN_ADDRESS = Limit("login-address", 100, timedelta(minutes=5))
LOGIN = Limit("login", 10, timedelta(minutes=5))
"""For one email from one address, so that nobody can lock out a user from elsewhere."""


async def spend(statements: Statements, limit: Limit, whom: str) -> None:
    """Count one attempt. Raises TooMany, with the seconds until the window ends, if the limit is passed; such
    an attempt is counted, too."""
    number, left = await attempts.count(statements, limit.key(whom), limit.window)
    if number > limit.most:
        raise TooMany(
            "Too many attempts. Wait a moment and try again.",
            code="too_many_attempts",
            retry_after=max(1, ceil(left.total_seconds())),
        )

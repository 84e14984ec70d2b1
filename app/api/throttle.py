"""How many requests a user may send to one process. The limit is high, because clients poll."""

import time
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from app.domain.errors import TooMany

BURST = 1000
PER_SECOND = 50.0
MOST_USERS = 10_000


class Throttle:
    """A token bucket per user: `burst` requests, refilled with `per_second`. Users not seen for longest are
    forgotten."""

    def __init__(
        self, burst: int = BURST, per_second: float = PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._buckets: OrderedDict[UUID, tuple[float, float]] = OrderedDict()

    def take(self, user_id: UUID) -> None:
        """Count one request. TooMany when the bucket is empty."""
        now = self._clock()
        level, then = self._buckets.pop(user_id, (float(self._burst), now))
        level = min(float(self._burst), level + (now - then) * self._per_second)
        self._buckets[user_id] = (max(level - 1, 0.0), now)
        if len(self._buckets) > MOST_USERS:
            self._buckets.popitem(last=False)
        if level < 1:
            raise TooMany("Too many requests. Wait a moment.", retry_after=1)

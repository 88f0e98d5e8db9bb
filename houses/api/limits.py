"""How often one credential may ask: `ARBE_RATE_LIMIT` times in each minute, counted in Redis.

Whoever could not say who they are is counted by their address. While Redis does not answer, nobody is counted.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from rest_framework.request import Request

from houses.attempts import address_of, count_up
from houses.credentials import Token
from houses.refusals import TooMany

MINUTE = 60  # seconds


@dataclass(frozen=True)
class Count:
    """How many requests somebody made in this minute."""

    limit: int
    made: int
    seconds_left: int

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(0, self.limit - self.made)),
            "RateLimit-Reset": str(self.seconds_left),
        }

    def require(self) -> None:
        if self.made > self.limit:
            raise TooMany(
                f"That is more than {self.limit} requests in a minute; go on in {self.seconds_left} s.",
                retry_after=self.seconds_left,
            )


def count(who: str, limit: int, now: float) -> Count:
    """One more request by somebody."""
    minute = int(now // MINUTE)
    made = count_up(f"asked:{who}:{minute}", 2 * MINUTE)
    return Count(limit, made, max(1, round((minute + 1) * MINUTE - now)))


def counted(request: Request, now: float | None = None) -> Count | None:
    """One more request by whoever asks; None where nobody counts."""
    if settings.RATE_LIMIT <= 0:
        return None
    return count(_who(request), settings.RATE_LIMIT, now or time.time())


def _who(request: Request) -> str:
    """The credential; for whoever has none, or one that does not open, the address."""
    auth, user = getattr(request, "_auth", None), getattr(request, "_user", None)
    if isinstance(auth, Token):
        return f"token:{auth.pk}"
    return f"agent:{user.pk}" if user is not None else f"address:{address_of(request)}"

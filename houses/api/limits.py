"""How often one credential may ask: `ARBE_RATE_LIMIT` times in each minute, counted in Redis.

Whoever could not say who they are is counted by their address. While Redis does not answer, nobody is counted.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rest_framework.request import Request

from houses.attempts import address_of
from houses.credentials import Token
from houses.refusals import TooMany

MINUTE = 60  # seconds
PATIENCE = 0.2  # seconds: a limit must not cost more than what it limits
PAUSE = 2.0  # seconds for which a Redis that did not answer is not asked again

logger = logging.getLogger(__name__)


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


class Counter:
    """Counts in one Redis, and stops asking for a while when it does not answer."""

    def __init__(self, url: str) -> None:
        # A connection is tried once: whoever waits here is a request.
        self._redis = Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
        )
        self._ask_again = self._say_again = 0.0

    def count(self, who: str, limit: int, now: float) -> Count | None:
        """One more request by somebody; None if nobody knows how many there were."""
        if time.monotonic() < self._ask_again:
            return None
        minute = int(now // MINUTE)
        key = f"arbe:asked:{who}:{minute}"
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.incr(key)
                pipe.expire(key, 2 * MINUTE)
                made, _ = pipe.execute()
        except RedisError as error:
            self._rest(error)
            return None
        return Count(limit, int(made), max(1, round((minute + 1) * MINUTE - now)))

    def _rest(self, error: RedisError) -> None:
        now = time.monotonic()
        self._ask_again = now + PAUSE
        if now >= self._say_again:
            self._say_again = now + MINUTE
            logger.warning("Redis does not answer, so requests are not counted: %s", error)


@lru_cache(maxsize=2)
def counter(url: str) -> Counter:
    """The counter of a Redis, one for each process."""
    return Counter(url)


def counted(request: Request, now: float | None = None) -> Count | None:
    """One more request by whoever asks; None where nobody counts."""
    if settings.RATE_LIMIT <= 0:
        return None
    return counter(settings.REDIS_URL).count(_who(request), settings.RATE_LIMIT, now or time.time())


def _who(request: Request) -> str:
    """The credential; for whoever has none, or one that does not open, the address."""
    auth, user = getattr(request, "_auth", None), getattr(request, "_user", None)
    if isinstance(auth, Token):
        return f"token:{auth.pk}"
    return f"agent:{user.pk}" if user is not None else f"address:{address_of(request)}"

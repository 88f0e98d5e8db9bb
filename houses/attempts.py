"""How often somebody may be wrong. Counted in Redis; while that is away all are let through, with a line in the log.

What is counted by allauth (passwords, codes, resets) and what is counted here (tokens) is refused alike.
"""

import contextlib
import hashlib
import ipaddress
import logging
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.http import HttpRequest
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from houses.refusals import TooMany

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)
WINDOW = 300  # seconds, as in ACCOUNT_RATE_LIMITS
WRONG_TOKENS = 60  # from one address, within the window
WRONG_PASSWORDS, HOUR = 100, 3600  # of one account, from wherever; seconds
PATIENCE = 0.5  # seconds: counting must not cost more than what is counted
PAUSE, QUIET = 2.0, 60.0  # seconds for which a Redis that did not answer is not asked, and not spoken of, again
NOBODY = "0.0.0.0"  # noqa: S104  # not to listen at: what a connection without an address is counted under


class TooManyAttempts(TooMany):
    """Somebody tried too often; whoever is right later is let in later."""

    def __init__(self, where: str = "from here", wait: int = WINDOW) -> None:
        super().__init__(
            f"That was tried too often {where}; wait {wait // 60} minutes and try again.", retry_after=wait
        )


class Forgiving(RedisCache):
    """Django's cache on our Redis, for which a Redis that is away is an empty one."""

    @property
    def _cache(self) -> RedisCacheClient:
        return _client(settings.REDIS_URL)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _asked(partial(super().add, key, value, timeout, version), True)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return _asked(partial(super().get, key, default, version), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        _asked(partial(super().set, key, value, timeout, version), None)

    def delete(self, key: Any, version: int | None = None) -> bool:
        return _asked(partial(super().delete, key, version), False)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return _asked(partial(super().incr, key, delta, version), delta)


def wrong_token(address: str) -> None:
    """Somebody sent a token that opens nothing. Right ones are neither counted nor held up: many share an address."""
    key = f"wrong-tokens:{address}"
    if count_up(key, WINDOW) > WRONG_TOKENS:
        raise TooManyAttempts


def account_open(email: str) -> None:
    """Nobody guesses at one account from a thousand addresses; a sign-in link still opens it."""
    if int(cache.get(_account(email)) or 0) >= WRONG_PASSWORDS:
        raise TooManyAttempts("on this account", HOUR)


def wrong_password(email: str) -> None:
    count_up(_account(email), HOUR)


def count_up(key: str, seconds: int) -> int:
    """One more; how many there were since the first of them, or since it was that many seconds ago."""
    cache.add(key, 0, seconds)
    try:
        return cache.incr(key)
    except ValueError:  # the window ended this moment
        return 1


def _account(email: str) -> str:
    return f"wrong-passwords:{hashlib.sha256(email.strip().lower().encode()).hexdigest()}"


def address_of(request: HttpRequest) -> str:
    return client_address(request.headers.get(settings.CLIENT_HEADER, ""), request.META.get("REMOTE_ADDR", ""))


def client_address(told: str, peer: str) -> str:
    """Who asks: by the header that counts here, if any does, else by the connection.

    Of several addresses the last counts: the proxy next to us added it, and whoever asks may have made up the others.
    Of version 6 the network counts: whoever has one has all of its addresses.
    """
    for address in (told.rpartition(",")[2].strip(), peer):
        with contextlib.suppress(ValueError):
            return _counted_as(ipaddress.ip_address(address))
    return NOBODY


def _counted_as(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False).network_address)


class _Absence:
    """When a Redis that did not answer is asked again, and spoken of again."""

    def __init__(self) -> None:
        self.ask_again = self.say_again = 0.0

    def begins(self, away: RedisError) -> None:
        now = time.monotonic()
        self.ask_again = now + PAUSE
        if now >= self.say_again:
            self.say_again = now + QUIET
            logger.warning("attempts are not counted, as Redis does not answer: %s", away)


def _asked(ask: Callable[[], Answer], otherwise: Answer) -> Answer:
    absence = absence_of(settings.REDIS_URL)
    if time.monotonic() < absence.ask_again:
        return otherwise
    try:
        return ask()
    except RedisError as away:
        absence.begins(away)
        return otherwise


@lru_cache(maxsize=4)
def absence_of(url: str) -> _Absence:
    return _Absence()


@lru_cache(maxsize=4)
def _client(url: str) -> RedisCacheClient:
    # A connection is tried once: whoever waits here is a request.
    once = Retry(NoBackoff(), 0)
    return RedisCacheClient([url], socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, retry=once)

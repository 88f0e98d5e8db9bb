"""How often somebody may be wrong. Counted in Redis; while that is away all are let through, with a line in the log.

What is counted by allauth (passwords, codes, resets) and what is counted here (tokens) is refused alike.
"""

import contextlib
import ipaddress
import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from django.http import HttpRequest
from redis import RedisError

from houses.refusals import TooMany

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)
WINDOW = 300  # seconds, as in ACCOUNT_RATE_LIMITS
WRONG_TOKENS = 60  # from one address, within the window
NOBODY = "0.0.0.0"  # noqa: S104  # not to listen at: what a connection without an address is counted under


class TooManyAttempts(TooMany):
    """Somebody tried too often; whoever is right later is let in later."""

    def __init__(self) -> None:
        super().__init__(
            f"That was tried too often from here; wait {WINDOW // 60} minutes and try again.", retry_after=WINDOW
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
    cache.add(key, 0, WINDOW)
    with contextlib.suppress(ValueError):  # the window ended this moment
        if cache.incr(key) > WRONG_TOKENS:
            raise TooManyAttempts


def address_of(request: HttpRequest) -> str:
    return client_address(request.headers.get(settings.CLIENT_HEADER, ""), request.META.get("REMOTE_ADDR", ""))


def client_address(told: str, peer: str) -> str:
    """Who asks: by the header that counts here, if any does, else by the connection.

    Of several addresses the last counts: the proxy next to us added it, and whoever asks may have made up the others.
    """
    for address in (told.rpartition(",")[2].strip(), peer):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(address))
    return NOBODY


def _asked(ask: Callable[[], Answer], otherwise: Answer) -> Answer:
    try:
        return ask()
    except RedisError as away:
        logger.warning("attempts are not counted, as Redis does not answer: %s", away)
        return otherwise


@lru_cache(maxsize=4)
def _client(url: str) -> RedisCacheClient:
    return RedisCacheClient([url], socket_connect_timeout=1, socket_timeout=1)

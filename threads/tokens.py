"""Tokens and what they cost: of one request to a model, of a run so far, of many runs together."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Self

from threads.agent_events import PiUsage

KINDS = ("input", "output", "cache_read", "cache_write")
PROGRAM, PRICE_LIST = "program", "genai-prices"
FINEST = Decimal("0.00000001")
MOST_USD = Decimal("999999.99999999")  # for which a row has room


@dataclass(frozen=True)
class Request:
    """What one request to a model used; `input` was not in a cache."""

    model: str
    input: int
    output: int
    cache_read: int
    cache_write: int


@dataclass(frozen=True)
class Tokens:
    """What a run has used so far. Each request is priced for itself: long ones cost more a token than short ones."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: Decimal | None = None  # the program's own figure
    requests: tuple[Request, ...] = ()

    @classmethod
    def none(cls) -> Self:
        return cls()

    @property
    def model(self) -> str:
        """The one that was asked last, where the program names it."""
        return next((request.model for request in reversed(self.requests) if request.model), "")

    def plus(self, used: PiUsage) -> "Tokens":
        """With one more request; a program that says what something cost may say so without any."""
        request = Request(used.model, *(max(0, getattr(used, kind)) for kind in KINDS))
        figure = Decimal(str(used.usd)) if used.usd else None  # a program that does not know the price says zero
        return Tokens(
            self.input + request.input,
            self.output + request.output,
            self.cache_read + request.cache_read,
            self.cache_write + request.cache_write,
            usd=(self.usd or Decimal()) + figure if figure is not None else self.usd,
            requests=(*self.requests, request) if any(getattr(request, kind) for kind in KINDS) else self.requests,
        )

    def cost(self, model: str, address: str) -> tuple[Decimal | None, str]:
        """US dollars and whose figure that is: the program's own, else that of a list of prices, else nobody's."""
        if self.usd is not None:
            return min(self.usd, MOST_USD).quantize(FINEST), PROGRAM
        prices = [_price(request, request.model or model, model, address) for request in self.requests]
        if not prices or None in prices:
            return None, ""
        return min(sum((one for one in prices if one), Decimal()), MOST_USD).quantize(FINEST), PRICE_LIST


def price(model: str, address: str, tokens: Request) -> Decimal | None:
    """US dollars of one request, from the list of prices that came with this version; None if it is not on it.

    A provider is known by its address: the same model elsewhere, or on one's own machine, has another price.
    """
    from genai_prices import Usage, calc_price  # a quarter of a second, for whoever prices something

    used = Usage(
        input_tokens=tokens.input + tokens.cache_read + tokens.cache_write,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
    )
    try:
        return calc_price(used, model, provider_api_url=address).total_price
    except (LookupError, ValueError):
        return None


@lru_cache(maxsize=20_000)
def _price(request: Request, model: str, asked: str, address: str) -> Decimal | None:
    found = price(model, address, request)
    return price(asked, address, request) if found is None and asked != model else found


@dataclass(frozen=True)
class Spent:
    """Several runs together. `usd` is what is known; of `unpriced` of the `runs` nobody knows the price."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    usd: Decimal | None = None
    runs: int = 0
    unpriced: int = 0

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Spent":
        counts = {kind: row[f"{kind}_sum"] for kind in KINDS}
        return cls(**counts, usd=row["usd_sum"], runs=row["runs"], unpriced=row["unpriced"])

    @property
    def tokens(self) -> int:
        """All kinds together, as limits count them."""
        return self.input + self.output + self.cache_read + self.cache_write

    def told(self) -> dict[str, Any]:
        """As events say it."""
        kinds = {kind: getattr(self, kind) for kind in KINDS}
        return {**kinds, "usd": float(self.usd) if self.usd is not None else None}

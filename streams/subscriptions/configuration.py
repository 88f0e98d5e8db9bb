"""Subscriptions: what one is asked to be, read from JSON, and which streams its pattern matches."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from streams.refusals import Refusal
from streams.subscriptions import webhooks

RESERVED = "__ds"  # the first segment of every address and every stream that is about streams
MOST_LINKS = 10_000  # streams of one subscription
LONGEST_PATH, LONGEST_TEXT = 512, 1000
WEBHOOK, PULL = "webhook", "pull-wake"
_STAR = re.compile("%2a", re.IGNORECASE)


class No(Refusal):
    """A refusal as the protocol words it: a code in capitals and a sentence."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(status, code, detail)
        self.more = more


def wrong(detail: str) -> No:
    return No(400, "INVALID_REQUEST", detail)


def is_reserved(name: str) -> bool:
    return name.lstrip("/").partition("/")[0] == RESERVED


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a subscription was asked to be; the same again is the same subscription."""

    type: str
    pattern: str | None
    streams: tuple[str, ...]  # those named when it was made, in order of their names
    url: str | None
    wake_stream: str | None
    lease: int  # milliseconds
    description: str | None

    @classmethod
    def read(cls, told: Any, *, is_open: bool) -> Configuration:
        """From a request's JSON. Raises `No`. Where not everybody is let in, all its streams are of one house."""
        if not isinstance(told, dict):
            raise wrong("A subscription is a JSON object.")
        kind = told.get("type")
        if kind not in (WEBHOOK, PULL):
            raise wrong('The type is "webhook" or "pull-wake".')
        pattern = path(told["pattern"], "The pattern") if told.get("pattern") is not None else None
        streams = paths(told.get("streams") or [])
        if not pattern and not streams:
            raise wrong("A subscription has a pattern, or streams, or both.")
        url, wake_stream = None, None
        if kind == WEBHOOK:
            url = _url(told.get("webhook"), is_open)
        else:
            wake_stream = path(told.get("wake_stream"), "The wake_stream of a pull-wake subscription")
            if wake_stream in streams:
                raise wrong("A subscription cannot follow the stream that its own wakes go to.")
        found = cls(kind, pattern, streams, url, wake_stream, _lease(told), _description(told))
        if not is_open:
            found.check_house(streams)
        return found

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Configuration:
        return cls(**kept | {"streams": tuple(kept["streams"])})

    def kept(self) -> dict[str, Any]:
        return asdict(self)

    def matches(self, name: str) -> bool:
        """By pattern; never the stream that its own wakes go to, for each would bring the next."""
        return self.pattern is not None and name != self.wake_stream and matches(self.pattern, name)

    def check_house(self, streams: tuple[str, ...]) -> None:
        """That these streams, and everything else that is named here, lie in one house."""
        named = [name for name in (self.pattern, self.wake_stream, *self.streams, *streams) if name]
        houses = {name.partition("/")[0] for name in named}
        if len(houses) > 1 or "*" in _STAR.sub("*", "".join(houses)) or not all("/" in name for name in named):
            raise wrong("The streams of a subscription are those of one house: HOUSE/STREAM, or HOUSE/*.")


def path(given: Any, what: str) -> str:
    """A stream's name, or a pattern, below the root."""
    name = given.strip("/") if isinstance(given, str) else ""
    if not name or len(name) > LONGEST_PATH or not name.isprintable():
        raise wrong(f"{what} is a text of 1 to {LONGEST_PATH} characters.")
    if is_reserved(name):
        raise wrong(f"{what} does not begin with {RESERVED}, which is reserved.")
    return name


def paths(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or len(given) > MOST_LINKS:
        raise wrong(f"The streams are a list of at most {MOST_LINKS} names.")
    return tuple(sorted({path(name, "Each of the streams") for name in given}))


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits: `*` is one segment, `**` any number of them, everything else is itself."""
    wanted = pattern.split("/")
    at = _beyond({0}, wanted)
    for segment in name.split("/"):
        step = set()
        for place in at:
            if place == len(wanted):
                continue
            if wanted[place] == "**":
                step.add(place)
            elif wanted[place] == "*" or _STAR.sub("*", wanted[place]) == segment:
                step.add(place + 1)
        at = _beyond(step, wanted)
    return len(wanted) in at


def _beyond(at: set[int], wanted: list[str]) -> set[int]:
    """These places, and those behind every `**` there, which may also stand for nothing."""
    for place in list(at):
        while place < len(wanted) and wanted[place] == "**":
            place += 1  # noqa: PLW2901  # walks on from each
            at.add(place)
    return at


def _url(webhook: Any, is_open: bool) -> str:
    url = webhook.get("url") if isinstance(webhook, dict) else None
    if not isinstance(url, str) or not url:
        raise wrong("A webhook subscription has a webhook.url.")
    try:
        webhooks.check(url, is_open)
    except webhooks.Refused as refused:
        raise No(400, "WEBHOOK_URL_REJECTED", str(refused)) from None
    return url


def _lease(told: dict[str, Any]) -> int:
    lease = told.get("lease_ttl_ms", 30_000)
    if not isinstance(lease, int) or isinstance(lease, bool) or not 1000 <= lease <= 600_000:
        raise wrong("The lease_ttl_ms is a whole number from 1000 to 600000.")
    return lease


def _description(told: dict[str, Any]) -> str | None:
    text = told.get("description")
    if text is not None and (not isinstance(text, str) or len(text) > LONGEST_TEXT):
        raise wrong(f"The description is a text of at most {LONGEST_TEXT} characters.")
    return text

"""What a process has read of a stream on a foreign server: each event with its number, and none twice.

A number counts the messages of the stream up to and including the event, so it is the same for everybody who reads
from the beginning, and stays. As a `seq` it has the shape of our own offsets.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from streams.calls import Page, StreamError
from streams.envelope import UNSTAMPED
from streams.offsets import Offset
from streams.terms import Producer

KEPT = 1 << 20  # bytes of events, about, of one stream
WRITERS = 1000  # of one stream; a request that is said again comes before so many others have begun to write
SAID = "said"  # where an event on a foreign server says of which request of which producer it was a part

Said = tuple[int, int, int]  # epoch, request, place in the request


@dataclass(frozen=True)
class Numbered:
    """The events behind number `first`, up to where the server says `end`. It does not change: it is replaced."""

    numbers: list[int] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    first: int = 0
    count: int = 0  # messages up to `end`, those that are there twice too
    end: str = "-1"
    size: int = 0  # bytes of the events, about
    up_to_date: bool = False
    closed: bool = False
    cursor: str | None = None
    heard: dict[str, Said] = field(default_factory=dict)  # the last of each producer

    def grown(self, page: Page, size: int) -> Numbered:
        """With what a read from `end` on has brought."""
        numbers, events, heard = list(self.numbers), list(self.events), dict(self.heard)
        for number, event in enumerate(page.events, self.count + 1):
            if _is_news(event, heard):
                numbers.append(number)
                events.append(_stamped(event, number))
        for forgotten in list(heard)[: max(0, len(heard) - WRITERS)]:
            del heard[forgotten]
        return Numbered(
            numbers,
            events,
            self.first,
            self.count + len(page.events),
            page.next or self.end,
            self.size + size,
            page.up_to_date,
            page.closed,
            page.cursor,
            heard,
        )

    def remembered(self) -> Numbered:
        """As much of its end as is worth keeping; what may have come since is unknown, unless nothing can come."""
        return replace(self.trimmed(), up_to_date=self.closed)

    def trimmed(self, least: int = 1) -> Numbered:
        """Only its end, once there is too much of it: half of what may be kept, but `least` events."""
        count = len(self.events)
        gone = count - max(least, count * KEPT // (2 * self.size)) if self.size > KEPT else 0
        if gone <= 0:
            return self
        return replace(
            self,
            numbers=self.numbers[gone:],
            events=self.events[gone:],
            first=self.numbers[gone - 1],
            size=self.size * (count - gone) // count,
        )

    def after(self, number: int, limit: int | None) -> Page:
        start = bisect_right(self.numbers, number)
        stop = len(self.events) if limit is None else min(start + limit, len(self.events))
        if stop < len(self.events):
            return Page(self.events[start:stop], offset_of(self.numbers[stop - 1]), up_to_date=False, closed=False)
        return Page(self.events[start:], offset_of(self.count), self.up_to_date, self.closed)

    def before(self, number: int, limit: int) -> Page:
        stop = bisect_right(self.numbers, number)
        start = max(0, stop - limit)
        earlier = self.numbers[start] - 1 if start < stop else 0
        is_end = number == self.count
        return Page(
            self.events[start:stop],
            offset_of(number),
            is_end and self.up_to_date,
            is_end and self.closed,
            offset_of(earlier) if earlier else None,
        )


def offset_of(number: int) -> str:
    return str(Offset(number, 0))


def number_of(offset: str) -> int:
    if offset == "-1":
        return 0
    found = Offset.parse(offset)
    if found is None or found.bytes:
        raise never_given_out()
    return found.messages


def never_given_out() -> StreamError:
    return StreamError(400, "malformed", "An offset is -1, now, or the seq of an event of this stream.")


def signed(message: bytes, producer: Producer, place: int) -> bytes:
    """The text of an event's envelope, with whose request it is a part of."""
    said = f',"{SAID}":'.encode() + orjson.dumps([producer.id, producer.epoch, producer.seq, place])
    return message[:-1] + said + b"}"


def _is_news(event: Any, heard: dict[str, Said]) -> bool:
    """False for what was said again to a server that had it and no longer knew that it did."""
    if not _is_enveloped(event) or SAID not in event:
        return True
    producer, epoch, request, place = event[SAID]
    said: Said = (epoch, request, place)
    last = heard.pop(producer, None)  # and to the end of the line: whoever is silent longest is forgotten first
    heard[producer] = said if last is None else max(said, last)
    return last is None or said > last


def _stamped(event: Any, number: int) -> Any:
    if not _is_enveloped(event):
        return event
    event = event | {"seq": offset_of(number)}
    event.pop(SAID, None)
    return event


def _is_enveloped(event: Any) -> bool:
    return isinstance(event, dict) and event.get("seq") == UNSTAMPED

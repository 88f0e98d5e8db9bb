"""One stream in memory: its settings, where it ends, what has to be remembered of its writers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from streams.offsets import START, Offset
from streams.storage.frames import IndexEntry
from streams.storage.recent import Recent
from streams.terms import Producer, Settings

MOST_PRODUCERS = 10_000  # of one stream; the one that was silent longest is forgotten, and has to begin anew


@dataclass(slots=True, weakref_slot=True, eq=False)
class StreamLog:
    """A stream as everybody may see it: all of this is on disk."""

    name: str
    settings: Settings
    tail: Offset = START
    number: int = 0  # of the last entry
    closed: bool = False
    closed_by: Producer | None = None
    stream_seq: str | None = None
    producers: dict[str, tuple[int, int]] = field(default_factory=dict)
    touched: float = 0.0  # seconds since 1970: when it was last read or written
    references: int = 0  # forks that borrow from it
    is_soft_deleted: bool = False  # gone for everybody but its forks
    first: Offset = START  # what lies before is no longer kept
    gone: bool = False
    # What the files hold of it: where each segment begins, and how far index and data of the last one go.
    segments: list[Offset] = field(default_factory=list)
    index_size: int = 0
    data_size: int = 0
    dropped: int = 0  # segments, from the first on
    recent: Recent = field(default_factory=Recent)
    touch_kept: float = 0.0  # the last touch that will survive a restart
    is_json: bool = False
    waiters: set[asyncio.Future[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.is_json = self.settings.is_json
        if self.settings.fork:
            self.tail = self.settings.fork.at
        self.recent.begin(self.tail, self.is_json)

    @property
    def expiry(self) -> float | None:
        """When it ends by itself, in seconds since 1970."""
        if self.settings.ttl is not None:
            return self.touched + self.settings.ttl
        return _instant(self.settings.expires_at) if self.settings.expires_at else None

    def has_expired(self, now: float) -> bool:
        expiry = self.expiry
        return expiry is not None and now >= expiry

    def has_expired_everywhere(self, now: float, touch_kept: float) -> bool:
        """Where there are several copies of it: each may keep a touch to itself for a tenth of the time."""
        ttl = self.settings.ttl
        return self.has_expired(now) if ttl is None else now >= touch_kept + ttl + ttl / 10

    def come_back(self) -> None:
        """After a restart the last touch is not known exactly: it may live a little longer than it should."""
        if self.settings.ttl is not None:
            self.touched = self.touch_kept + self.slack

    @property
    def slack(self) -> float:
        """Seconds by which the last touch that was written down may lie behind the last one."""
        return max(1.0, (self.settings.ttl or 0) / 10)

    def adopt(self, entry: IndexEntry) -> None:
        """Grow by what the disk now holds."""
        self.number = entry.number
        self.tail = Offset(entry.messages + len(entry.lengths), entry.size + sum(entry.lengths))
        state = entry.state
        if not state:
            return
        if "p" in state:
            remember(self.producers, Producer(*state["p"]))
        self.stream_seq = state.get("s", self.stream_seq)
        if "t" in state:
            self.touch_kept = state["t"]
            self.touched = max(self.touched, self.touch_kept)
        self.references += state.get("f", 0)
        self.is_soft_deleted = self.is_soft_deleted or "gone" in state
        if "r" in state:
            self.first = max(self.first, Offset(*state["r"]))
        if "x" in state:
            self.closed = True
            self.closed_by = Producer(*state["p"]) if "p" in state else None

    def snapshot(self) -> dict[str, Any]:
        """All that entries have made true so far: what a segment begins with."""
        return {
            "birth": self.birth(),
            "producers": [(name, *told) for name, told in self.producers.items()],
            "closed": self.closed,
            "closed_by": self.closed_by,
            "stream_seq": self.stream_seq,
            "touched": self.touch_kept,
            "references": self.references,
            "gone": self.is_soft_deleted,
            "first": self.first,
        }

    def birth(self) -> dict[str, Any]:
        return asdict(self.settings) | {"name": self.name}

    @classmethod
    def born(cls, birth: dict[str, Any]) -> StreamLog:
        told = dict(birth)
        name = told.pop("name")
        return cls(name, Settings.of(told))

    @classmethod
    def restored(cls, head: IndexEntry) -> StreamLog:
        """From what a segment begins with."""
        told = head.state["head"]
        log = cls.born(told["birth"])
        log.number, log.tail = head.number, Offset(head.messages, head.size)
        log.producers = {name: (epoch, seq) for name, epoch, seq in told["producers"]}
        log.closed, log.stream_seq, log.touch_kept = told["closed"], told["stream_seq"], told["touched"]
        log.closed_by = Producer(*told["closed_by"]) if told["closed_by"] else None
        log.references, log.is_soft_deleted, log.first = told["references"], told["gone"], Offset(*told["first"])
        return log

    def wake(self) -> None:
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)


def remember(producers: dict[str, tuple[int, int]], producer: Producer) -> None:
    """As the one heard last; where there are too many, the one that was silent longest is forgotten."""
    producers.pop(producer.id, None)
    producers[producer.id] = producer.epoch, producer.seq
    if len(producers) > MOST_PRODUCERS:
        del producers[next(iter(producers))]


@lru_cache(1024)
def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""One stream in memory: its settings, where each message ends, and the rules by which it grows."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from streams.frames import IndexEntry
from streams.offsets import START, Offset
from streams.refusals import (
    Malformed,
    NoStream,
    OutOfSequence,
    ProducerFenced,
    ProducerGap,
    StreamClosed,
)

# An enveloped message begins with {"seq":" and has the server's offset there, of fixed width.
SEQ_AT, SEQ_END = 8, 41


class Producer(NamedTuple):
    """Who writes, which life of theirs this is, and which of its requests."""

    id: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What is fixed when a stream is created."""

    content_type: str
    enveloped: bool = False
    incarnation: str = ""

    @property
    def base_type(self) -> str:
        return media_type(self.content_type)

    @property
    def is_json(self) -> bool:
        return media_type(self.content_type) == "application/json"


@dataclass(frozen=True, slots=True)
class Append:
    """One request to grow a stream, close it, or both."""

    messages: list[bytes] = field(default_factory=list)
    close: bool = False
    close_only: bool = False
    producer: Producer | None = None
    stream_seq: str | None = None


class Appended(NamedTuple):
    """What came of it: the tail, and for a producer the highest request accepted so far."""

    next: Offset
    closed: bool
    duplicate: bool = False
    producer: Producer | None = None


@dataclass(slots=True, weakref_slot=True, eq=False)
class StreamLog:
    """A stream as everybody may see it: all of this is on disk."""

    name: str
    settings: Settings
    ends: array[int] = field(default_factory=lambda: array("Q"))
    closed: bool = False
    closed_by: Producer | None = None
    stream_seq: str | None = None
    producers: dict[str, tuple[int, int]] = field(default_factory=dict)
    index_size: int = 0
    ragged: bool = False  # the files hold a torn end behind what is sound
    gone: bool = False
    waiters: set[asyncio.Future[None]] = field(default_factory=set)

    @property
    def tail(self) -> Offset:
        return Offset(len(self.ends), self.ends[-1]) if self.ends else START

    def place(self, offset: Offset) -> int:
        """Where in the data file an offset lies; JSON messages are each followed by a comma there."""
        return offset.bytes + offset.messages if self.settings.is_json else offset.bytes

    def at(self, messages: int) -> Offset:
        return Offset(messages, self.ends[messages - 1]) if messages else START

    def holds(self, offset: Offset) -> bool:
        return offset.messages <= len(self.ends) and self.at(offset.messages) == offset

    def forward(self, start: Offset, most_bytes: int, most_messages: int | None = None) -> Offset:
        """The end of the page that begins at `start`: at least one message, unless there is none."""
        stop = bisect_right(self.ends, start.bytes + most_bytes, start.messages)
        if most_messages is not None:
            stop = min(stop, start.messages + most_messages)
        return self.at(min(max(stop, start.messages + 1), len(self.ends)))

    def backward(self, stop: Offset, most_bytes: int, most_messages: int) -> Offset:
        """The beginning of the page that ends at `stop`."""
        first = max(0, stop.messages - most_messages)
        while first < stop.messages - 1 and stop.bytes - self.at(first).bytes > most_bytes:
            first = first + max(1, (stop.messages - 1 - first) // 8)
        return self.at(min(first, stop.messages))

    def adopt(self, entry: IndexEntry) -> None:
        """Make one entry, now on disk, part of what everybody sees."""
        end = entry.before
        for length in entry.lengths:
            end += length
            self.ends.append(end)
        state = entry.state
        producer = Producer(*state["p"]) if "p" in state else None
        if producer:
            self.producers[producer.id] = (producer.epoch, producer.seq)
        if "s" in state:
            self.stream_seq = state["s"]
        if state.get("x"):
            self.closed, self.closed_by = True, producer

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Draft:
    """A stream as it will be once the batch being gathered is on disk."""

    def __init__(self, log: StreamLog) -> None:
        self.log = log
        self.is_birth = log.index_size == 0
        self.deleted = False
        self.entries: list[IndexEntry] = []
        self.index: list[bytes] = []
        self.data: list[bytes] = []
        self.tail = log.tail
        self.closed, self.closed_by, self.stream_seq = log.closed, log.closed_by, log.stream_seq
        self._producers: dict[str, tuple[int, int]] = {}

    def take(self, append: Append) -> Appended:
        """Judge a request by the protocol's table, and write it down when it may happen."""
        if self.deleted or self.log.gone:
            raise NoStream("There is no such stream.")
        producer = append.producer
        if self.closed:
            return self._answer_closed(append)
        if producer:
            known = self._producers.get(producer.id) or self.log.producers.get(producer.id)
            if _is_duplicate(producer, known):
                assert known
                return Appended(self.tail, False, True, Producer(producer.id, *known))
        said, last = append.stream_seq, self.stream_seq
        if said is not None and last is not None and said.encode() <= last.encode():
            raise OutOfSequence(f"Stream-Seq must sort after {last!r}.")
        self._write(append)
        return Appended(self.tail, self.closed, False, producer)

    def _answer_closed(self, append: Append) -> Appended:
        if append.producer is not None and append.producer == self.closed_by:
            return Appended(self.tail, True, True, append.producer)
        if append.close_only and append.producer is None:
            return Appended(self.tail, True, True)
        headers = {"Stream_Closed": "true", "Stream_Next_Offset": str(self.tail)}
        raise StreamClosed("The stream is closed; nothing can be added to it.", **headers)

    def write_birth(self, state: dict[str, Any], first: Append) -> None:
        self._write(first, {"settings": state})

    def _write(self, append: Append, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        if append.producer:
            state["p"] = list(append.producer)
            self._producers[append.producer.id] = (append.producer.epoch, append.producer.seq)
        if append.stream_seq is not None:
            state["s"] = self.stream_seq = append.stream_seq
        if append.close:
            state["x"], self.closed, self.closed_by = True, True, append.producer
        data, lengths, before = self._lay(append.messages)
        entry = IndexEntry(before.messages, before.bytes, lengths, crc32(data), state)
        self.entries.append(entry)
        self.index.append(entry.pack())
        self.data.append(data)

    def _lay(self, messages: list[bytes]) -> tuple[bytes, array[int], Offset]:
        before, settings = self.tail, self.log.settings
        count, size = before
        if settings.enveloped:
            stamped = []
            for message in messages:
                count, size = count + 1, size + len(message)
                seq = b"%016d_%016d" % (count, size)
                stamped.append(message[:SEQ_AT] + seq + message[SEQ_END:])
            messages = stamped
        lengths = array("I", map(len, messages))
        self.tail = Offset(before.messages + len(lengths), before.bytes + sum(lengths))
        if settings.is_json and messages:
            return b",".join(messages) + b",", lengths, before
        return b"".join(messages), lengths, before


def _is_duplicate(producer: Producer, known: tuple[int, int] | None) -> bool:
    epoch, last = known or (-1, -1)
    if producer.epoch < epoch:
        raise ProducerFenced("A newer life of this producer has taken over.", Producer_Epoch=str(epoch))
    if producer.epoch > epoch:
        if producer.seq == 0:
            return False
        if known:
            raise Malformed("A new Producer-Epoch begins with Producer-Seq 0.")
        last = -1
    if producer.seq <= last:
        return True
    if producer.seq > last + 1:
        numbers = {"Producer_Expected_Seq": str(last + 1), "Producer_Received_Seq": str(producer.seq)}
        raise ProducerGap(f"Producer-Seq {last + 1} comes next, not {producer.seq}.", **numbers)
    return False


@lru_cache(256)
def media_type(content_type: str) -> str:
    """The type alone, without its parameters."""
    return content_type.partition(";")[0].strip().lower()

"""The messages of a stream that no segment holds yet, in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field

from streams.offsets import START, Offset
from streams.storage.frames import IndexEntry, place


@dataclass(slots=True)
class Recent:
    """From `start` on to the tail, with what a flush has to write of them."""

    start: Offset = START
    is_json: bool = False
    ends: array[int] = field(default_factory=lambda: array("Q"))  # of each message, in bytes of the stream
    packed: list[bytes] = field(default_factory=list)  # the index entries
    counts: list[int] = field(default_factory=list)  # messages of each entry
    chunks: list[bytes] = field(default_factory=list)  # their data, where there are any
    places: array[int] = field(default_factory=lambda: array("Q"))  # where each chunk ends, from `start`
    weight: int = 0  # bytes

    def begin(self, start: Offset, is_json: bool) -> None:
        self.start, self.is_json = start, is_json

    def add(self, entry: IndexEntry, packed: bytes, data: bytes) -> None:
        self.packed.append(packed)
        self.counts.append(len(entry.lengths))
        if data:
            self.chunks.append(data)
            self.places.append(len(data) + (self.places[-1] if self.places else 0))
            self.ends.extend(entry.ends())
        self.weight += len(packed) + len(data)

    def at(self, messages: int) -> Offset:
        """The place behind so many messages of the stream."""
        here = messages - self.start.messages
        return Offset(messages, self.ends[here - 1]) if here else self.start

    def read(self, start: Offset, stop: Offset) -> bytes:
        """What lies between two places, as it is stored."""
        low, high = (place(offset, self.start, self.is_json) for offset in (start, stop))
        if low == high:
            return b""
        first = bisect_right(self.places, low)
        began = self.places[first - 1] if first else 0
        if high <= self.places[first]:
            return self.chunks[first][low - began : high - began]
        last = bisect_right(self.places, high - 1)
        # A page is bounded, and so are the chunks that hold its ends.
        return b"".join(self.chunks[first : last + 1])[low - began : high - began]

    def drop(self, entries: int) -> None:
        """The first so many entries are in the files now."""
        messages = sum(self.counts[:entries])
        filled = sum(1 for count in self.counts[:entries] if count)
        start = self.at(self.start.messages + messages)
        gone = self.places[filled - 1] if filled else 0
        self.weight -= gone + sum(map(len, self.packed[:entries]))
        del self.packed[:entries], self.counts[:entries], self.chunks[:filled], self.ends[:messages]
        self.places = array("Q", [end - gone for end in self.places[filled:]])
        self.start = start

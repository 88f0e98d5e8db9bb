"""Frames and index entries: how bytes are laid on disk so that a torn or flipped one shows."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any
from zlib import crc32

import orjson

from streams.offsets import Offset

_HEAD = struct.Struct("<II")  # crc32 of the payload, length of the payload
# Number of the entry, messages before, bytes before, messages here, crc32 of their bytes as they are stored.
_ENTRY = struct.Struct("<QQQII")


def frame(payload: bytes) -> bytes:
    return _HEAD.pack(crc32(payload), len(payload)) + payload


def frame_size(raw: bytes) -> int:
    """Of the frame that begins there, sound or not."""
    return _HEAD.size + _HEAD.unpack_from(raw)[1] if len(raw) >= _HEAD.size else 0


def frames(raw: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Each sound frame's end and payload, from `at` on; stops before the first that is torn or damaged."""
    size = len(raw)
    while at + 8 <= size:
        checksum, length = _HEAD.unpack_from(raw, at)
        end = at + 8 + length
        # A run of zeros, which a crash can leave, would otherwise pass for an empty frame.
        if length == 0 or end > size:
            return
        payload = raw[at + 8 : end]
        if crc32(payload) != checksum:
            return
        yield end, payload
        at = end


@dataclass(slots=True)
class IndexEntry:
    """What one append did: how long its messages are, and the state that became true together with them.

    Entries of a stream are numbered from 1, so that one is never taken in twice. `messages` and `size`, in bytes, are
    what lay before it, `lengths` are in bytes, and `checksum` is the crc32 of the messages as they are stored: JSON
    messages each with a comma behind it.
    """

    number: int
    messages: int
    size: int
    lengths: array[int]
    checksum: int
    state: dict[str, Any] = field(default_factory=dict)

    def ends(self) -> Iterable[int]:
        """Where each of its messages ends, in bytes of the stream."""
        if len(self.lengths) == 1:  # nearly always
            return (self.size + self.lengths[0],)
        return islice(accumulate(self.lengths, initial=self.size), 1, None)

    def stored(self, is_json: bool) -> int:
        """Bytes that its messages take where they are stored."""
        return sum(self.lengths) + (len(self.lengths) if is_json else 0)

    def pack(self) -> bytes:
        head = _ENTRY.pack(self.number, self.messages, self.size, len(self.lengths), self.checksum)
        return frame(head + self.lengths.tobytes() + (orjson.dumps(self.state, default=list) if self.state else b""))

    @classmethod
    def unpack(cls, payload: bytes) -> IndexEntry:
        number, messages, size, count, checksum = _ENTRY.unpack_from(payload)
        lengths = array("I")
        middle = _ENTRY.size + count * lengths.itemsize
        lengths.frombytes(payload[_ENTRY.size : middle])
        state = orjson.loads(payload[middle:]) if len(payload) > middle else {}
        return cls(number, messages, size, lengths, checksum, state)


def entries(raw: bytes) -> Iterator[tuple[int, IndexEntry]]:
    """Each sound entry of an index and where it ends, from the start."""
    for end, payload in frames(raw):
        yield end, IndexEntry.unpack(payload)


def place(offset: Offset, start: Offset, is_json: bool) -> int:
    """Where an offset lies in data that begin at `start`; JSON messages are each followed by a comma there."""
    return offset.bytes - start.bytes + (offset.messages - start.messages if is_json else 0)

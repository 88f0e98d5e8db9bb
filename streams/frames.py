"""Frames and index entries: how bytes are laid on disk so that a torn or flipped one shows."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import orjson

_HEAD = struct.Struct("<II")  # crc32 of the payload, length of the payload
_ENTRY = struct.Struct("<QQII")  # messages before, bytes before, messages here, crc32 of their bytes in the data file


def frame(payload: bytes) -> bytes:
    return _HEAD.pack(crc32(payload), len(payload)) + payload


def frames(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Each sound frame's end and payload, from the start; stops before the first that is torn or damaged."""
    at, size = 0, len(raw)
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
    """What one append did: where its messages lie, and the state that became true together with them."""

    messages: int
    before: int  # bytes
    lengths: array[int]
    checksum: int
    state: dict[str, Any] = field(default_factory=dict)

    def pack(self) -> bytes:
        head = _ENTRY.pack(self.messages, self.before, len(self.lengths), self.checksum)
        return frame(head + self.lengths.tobytes() + (orjson.dumps(self.state) if self.state else b""))

    @classmethod
    def unpack(cls, payload: bytes) -> IndexEntry:
        messages, size, count, checksum = _ENTRY.unpack_from(payload)
        lengths = array("I")
        middle = _ENTRY.size + count * lengths.itemsize
        lengths.frombytes(payload[_ENTRY.size : middle])
        state = orjson.loads(payload[middle:]) if len(payload) > middle else {}
        return cls(messages, size, lengths, checksum, state)

"""How far a store has come in an order of requests that is kept elsewhere, for several copies of it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from streams.storage.disk import replace_durably
from streams.storage.frames import frame, frames

_HEAD = struct.Struct("<Q")
FILE = "place"


class Checkpoint(NamedTuple):
    """Every request up to `sequence` has been decided here; `told` is what whoever keeps the order has to remember."""

    sequence: int = 0
    told: bytes = b""

    def pack(self) -> bytes:
        return _HEAD.pack(self.sequence) + self.told

    @classmethod
    def unpack(cls, packed: bytes) -> Checkpoint:
        (sequence,) = _HEAD.unpack_from(packed)
        return cls(sequence, packed[_HEAD.size :])

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """What the last flush left there; the beginning if nothing did."""
        path = folder / FILE
        found = next(frames(path.read_bytes()), None) if path.exists() else None
        return cls.unpack(found[1]) if found else cls()

    def write(self, folder: Path) -> None:
        """Durably, before the journals go that told it; all or nothing."""
        replace_durably(folder / FILE, frame(self.pack()))

"""The journal: every change of every stream, in order, synced once per batch. What is in it happened."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streams.frames import frame, frames

_HEAD = struct.Struct("<BHQQI")
WRITE, DELETE = 1, 2


class Change(NamedTuple):
    """One change of one stream, with the places in its files where the bytes belong."""

    kind: int
    name: str
    index_at: int = 0
    data_at: int = 0
    entries: bytes = b""
    data: bytes = b""

    def pack(self) -> bytes:
        name = self.name.encode()
        head = _HEAD.pack(self.kind, len(name), self.index_at, self.data_at, len(self.entries))
        return frame(b"".join((head, name, self.entries, self.data)))

    @classmethod
    def unpack(cls, payload: bytes) -> Change:
        kind, named, index_at, data_at, indexed = _HEAD.unpack_from(payload)
        start = _HEAD.size + named
        name = payload[_HEAD.size : start].decode()
        return cls(kind, name, index_at, data_at, payload[start : start + indexed], payload[start + indexed :])


class Journal:
    """The newest file of the journal, open for appending."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.size = 0
        self.is_broken = False
        self._file = -1
        self._open(1 + max((int(path.name) for path in self.files()), default=0))

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())

    def append(self, blob: bytes) -> None:
        """On return the bytes are on disk; on an error none of them are."""
        try:
            write_fully(self._file, blob, self.size)
            os.fdatasync(self._file)
        except OSError:
            self.cut(self.size)
            raise
        self.size += len(blob)

    def cut(self, size: int) -> None:
        try:
            os.ftruncate(self._file, size)
            os.fdatasync(self._file)
            self.size = size
        except OSError:
            # Nobody can say any more what is on disk; only a restart, which reads it again, can.
            self.is_broken = True
            raise

    def turn(self) -> list[Path]:
        """Begin a new file; the older ones may go once the streams they speak of are synced."""
        older, before = self.files(), self._file
        self._open(int(older[-1].name) + 1)
        os.close(before)
        return older

    def close(self) -> None:
        os.close(self._file)

    def _open(self, number: int) -> None:
        """On an error the file that was open before is still the one that is written."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(self.folder / f"{number:016d}", flags, 0o600)
        try:
            sync_folder(self.folder)
        except OSError:
            os.close(file)
            raise
        self._file, self.size = file, 0


def replay(folder: Path) -> Iterator[Change]:
    """All changes that reached the disk, oldest first."""
    if not folder.is_dir():
        return
    for path in sorted(path for path in folder.iterdir() if path.name.isdigit()):
        for _, payload in frames(path.read_bytes()):
            yield Change.unpack(payload)


def write_fully(file: int, blob: bytes, at: int) -> None:
    done = os.pwrite(file, blob, at)
    while done < len(blob):
        done += os.pwrite(file, blob[done:], at + done)


def sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

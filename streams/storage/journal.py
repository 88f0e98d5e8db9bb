"""The journal: every change of every stream, in order, synced once per batch. What is in it happened.

A file of the journal is a run of batches, each a mark and a frame around its changes: a batch is there as a whole or
not at all. The mark is random and stands in the name of the file, so that no message can pass for a batch where a real
one is torn. Zeros are written ahead of them: a sync over blocks that were written before takes a third of the time, for
there is no size and no extent to write down.
"""

from __future__ import annotations

import logging
import os
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple

from streams.storage.disk import FULL, sync_folder, write_fully
from streams.storage.frames import frame, frames

log = logging.getLogger(__name__)
_HEAD = struct.Struct("<BHII")  # kind, bytes of the name, of the entries, of the data
WRITE, DELETE, PLACE = 1, 2, 3
_NAME = re.compile(r"\d{16}\.[0-9a-f]{16}")  # the number of the file and the mark of its batches
AHEAD = 1 << 20  # bytes
RESERVE = 1 << 16  # bytes of them, for what makes room on a disk that is full


class Change(NamedTuple):
    """One change of one stream: its new index entries with their data (`WRITE`), or that it is gone (`DELETE`).

    Or, of no stream, how far this store has come in an order of requests that is kept elsewhere (`PLACE`): then
    `entries` is a packed checkpoint. `name` has at most 65,535 bytes.
    """

    kind: int
    name: str
    entries: bytes = b""
    data: bytes = b""

    def pack(self) -> bytes:
        name = self.name.encode()
        return b"".join(
            (_HEAD.pack(self.kind, len(name), len(self.entries), len(self.data)), name, self.entries, self.data)
        )


def batch(changes: list[Change]) -> bytes:
    """The changes one behind the other, as the journal takes them in one frame."""
    return b"".join([change.pack() for change in changes])


def unbatch(payload: bytes) -> Iterator[Change]:
    """The changes of a batch whose frame was sound, in their order."""
    at = 0
    while at < len(payload):
        kind, named, indexed, size = _HEAD.unpack_from(payload, at)
        name_at = at + _HEAD.size
        entries_at = name_at + named
        data_at = entries_at + indexed
        at = data_at + size
        name = payload[name_at:entries_at].decode()
        yield Change(kind, name, payload[entries_at:data_at], payload[data_at:at])


class Journal:
    """The newest file of the journal, open for appending."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.size = 0
        # Why nothing can be written: there is no room for a file, or nobody can say what is on disk behind `size`.
        self.trouble: OSError | None = None
        self.took = 1.0  # seconds, the last write with its sync
        self._filled = 0
        self._mark = b""
        self._file = -1
        try:
            self._open()
        except OSError as error:
            log.error("No journal could be begun; streams can be read, and not written: %s", error)
            self.trouble = error

    def append(self, payload: bytes, *, makes_room: bool = False) -> None:
        """On return the batch is on disk; on an error none of it is. On a full disk, one that makes room may fit."""
        if self.trouble:
            raise OSError(self.trouble.errno, "the journal failed earlier")
        blob, began = self._mark + frame(payload), time.monotonic()
        try:
            if self.size + len(blob) + (0 if makes_room else RESERVE) <= self._filled:
                write_fully(self._file, blob, self.size)
            else:
                self._extend(blob, makes_room)
        except OSError:
            self._cut()
            raise
        self.size += len(blob)
        self.took = time.monotonic() - began

    def turn(self) -> None:
        """Begin a new file; the older ones may go once what they tell is in the files of the streams."""
        before = self._file
        self._open()
        if before >= 0:
            os.close(before)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)

    def _extend(self, blob: bytes, makes_room: bool) -> None:
        try:
            write_fully(self._file, blob + bytes(AHEAD), self.size)
            self._filled = self.size + len(blob) + AHEAD
        except OSError as error:
            if not makes_room or error.errno not in FULL:
                raise
            self._cut()  # the room of the zeros is enough for it
            write_fully(self._file, blob, self.size)
            self._filled = self.size + len(blob)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self.size)
            os.fdatasync(self._file)
            self._filled = self.size
        except OSError as error:
            self.trouble = error
            raise

    def _open(self) -> None:
        """On an error the file that was open before is still the one that is written."""
        number, mark = 1 + max(map(_number, files(self.folder)), default=0), token_bytes(8)
        path = self.folder / f"{number:016d}.{mark.hex()}"
        # Each write is on disk when it returns.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_DSYNC, 0o600)
        try:
            os.fsync(file)
            sync_folder(self.folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        self._file, self._mark, self.size, self._filled = file, mark, 0, 0


def files(folder: Path) -> list[Path]:
    """The journal's files, oldest first."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def replay(folder: Path) -> Iterator[Change]:
    """All changes that reached the disk, oldest first."""
    for path in files(folder):
        yield from _batches(path, path.read_bytes())


def _number(path: Path) -> int:
    return int(path.name.partition(".")[0])


def _batches(path: Path, raw: bytes) -> Iterator[Change]:
    mark, at = bytes.fromhex(path.name.partition(".")[2]), 0
    while at < len(raw):
        found = _sound(raw, mark, at)
        if found is None:
            at = _damaged(path, raw, mark, at)
            continue
        at, payload = found
        yield from unbatch(payload)


def _sound(raw: bytes, mark: bytes, at: int) -> tuple[int, bytes] | None:
    """Where the batch ends that begins there, and what it holds."""
    return next(frames(raw, at + len(mark)), None) if raw.startswith(mark, at) else None


def _damaged(path: Path, raw: bytes, mark: bytes, at: int) -> int:
    """Where to go on behind a batch that is not sound. At the very end it is one that a crash tore, or nothing."""
    following = raw.find(mark, at + 1)
    while following >= 0 and _sound(raw, mark, following) is None:
        following = raw.find(mark, following + 1)
    if following < 0:
        return len(raw)
    log.error("The journal %s is damaged between %d and %d; what stood there is lost.", path.name, at, following)
    return following

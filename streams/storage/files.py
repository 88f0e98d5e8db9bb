"""The files of the streams: for each segment an index (entries) and its data (messages, nothing else).

A segment is written once and never changed after the next has begun. Streams of one segment, which nearly all are,
have two files; of those with more, a list says where each segment begins. Few files are open at once.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ctypes import CDLL, get_errno
from functools import lru_cache
from pathlib import Path
from threading import Lock

from streams.offsets import Offset
from streams.storage.disk import replace_durably, sync_folder, write_fully

INDEX, DATA = "index", "data"
_ROW = struct.Struct("<QQ")
MANY = 64  # files: more are synced by syncing the file system, which takes as long as for a few
FOLDERS = [f"{number:02x}" for number in range(256)]
_libc = CDLL(None, use_errno=True)


class StreamFiles:
    """Reads and writes by stream name; safe from several threads, syncing only when asked."""

    def __init__(self, folder: Path, most_open: int = 256) -> None:
        self.folder = folder
        self.most_open = most_open
        self._open: OrderedDict[str, list[int]] = OrderedDict()  # path -> [descriptor, users]
        self._lock = Lock()
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)

    def path(self, name: str, part: str, segment: int = 0) -> str:
        return f"{self.folder}/{_key(name)}.{segment}.{part}"

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path(name, INDEX)) or os.path.exists(self._list(name))

    def size(self, name: str, part: str, segment: int) -> int:
        """Bytes of that file, synced or not; 0 where there is none."""
        try:
            return os.path.getsize(self.path(name, part, segment))
        except FileNotFoundError:
            return 0

    def read(self, name: str, part: str, segment: int, at: int, length: int) -> bytes:
        """`length` bytes from byte `at` on, fewer at the end. Raises `FileNotFoundError` for a part that is gone."""
        with self._using(self.path(name, part, segment)) as file:
            return os.pread(file, length, at)

    def write(self, name: str, part: str, segment: int, at: int, blob: bytes) -> str:
        """From byte `at` on, and nothing behind it; the path, for it to be synced. Raises `OSError`, half done."""
        path = self.path(name, part, segment)
        with self._using(path, os.O_RDWR | os.O_CREAT) as file:
            if os.fstat(file).st_size > at:
                os.ftruncate(file, at)
            write_fully(file, blob, at)
        return path

    def starts(self, name: str) -> list[Offset]:
        """Where each segment begins; [] for a stream of one."""
        try:
            raw = Path(self._list(name)).read_bytes()
        except FileNotFoundError:
            return []
        whole = len(raw) - len(raw) % _ROW.size
        return [Offset(*row) for row in _ROW.iter_unpack(raw[:whole])]

    def list_starts(self, name: str, starts: list[Offset]) -> None:
        """Durably; all or none."""
        replace_durably(self._list(name), b"".join([_ROW.pack(*start) for start in starts]))

    def remove(self, name: str) -> None:
        """Every file of a stream; its being gone is not synced."""
        # The list goes last, for whoever has to finish this; a flush that failed may have begun one more than it names.
        for segment in range(len(self.starts(name)) + 1):
            self.remove_segment(name, segment)
        Path(self._list(name)).unlink(missing_ok=True)

    def remove_segment(self, name: str, segment: int) -> None:
        for part in (INDEX, DATA):
            path = self.path(name, part, segment)
            Path(path).unlink(missing_ok=True)
            self._forget(path)  # afterwards, so that nobody can open it again in between

    def sync(self, paths: Iterable[str]) -> None:
        """Everything written so far to these files, and their being there, survives a power cut."""
        paths = list(paths)
        if len(paths) > MANY:
            _sync_file_system(self.folder)
            return
        for path in paths:
            with self._using(path) as file:
                os.fsync(file)
        for folder in {os.path.dirname(path) for path in paths}:
            sync_folder(folder)

    def sync_folders(self, names: Iterable[str]) -> None:
        """That files are gone survives a power cut."""
        for folder in {os.path.dirname(self.path(name, INDEX)) for name in names}:
            sync_folder(folder)

    def indexes(self, folder: str) -> Iterator[tuple[str, str]]:
        """Of the streams that lie in one of the `FOLDERS`: a key for each, and the path of one of its indexes."""
        for entry in os.scandir(self.folder / folder):
            if entry.name.endswith(f".{INDEX}"):
                yield entry.name.partition(".")[0], entry.path

    def close(self) -> None:
        for path in list(self._open):
            self._forget(path)

    @contextmanager
    def _using(self, path: str, flags: int = os.O_RDWR) -> Iterator[int]:
        with self._lock:
            held = self._open.get(path)
            if held is None:
                held = self._open[path] = [os.open(path, flags | os.O_CLOEXEC, 0o600), 0]
                self._shrink()
            else:
                self._open.move_to_end(path)
            held[1] += 1
        try:
            yield held[0]
        finally:
            with self._lock:
                held[1] -= 1
                if held[1] == 0 and self._open.get(path) is not held:
                    os.close(held[0])

    def _shrink(self) -> None:
        for path in list(self._open)[: max(0, len(self._open) - self.most_open)]:
            if self._open[path][1] == 0 and len(self._open) > 1:
                os.close(self._open.pop(path)[0])

    def _forget(self, path: str) -> None:
        with self._lock:
            held = self._open.pop(path, None)
            if held and held[1] == 0:
                os.close(held[0])

    def _list(self, name: str) -> str:
        return f"{self.folder}/{_key(name)}.segments"


@lru_cache(8192)
def _key(name: str) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()[:40]
    return f"{key[:2]}/{key}"


def _sync_file_system(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(file):
            raise OSError(get_errno(), "the file system could not be synced")
    finally:
        os.close(file)

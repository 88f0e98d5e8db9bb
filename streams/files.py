"""The files of the streams: for each an index (entries) and a data file (messages, nothing else), few open at once."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock

from streams.journal import DELETE, Change, sync_folder, write_fully

INDEX, DATA = "index", "data"


class StreamFiles:
    """Reads and writes by stream name; safe from several threads, syncing only when asked."""

    def __init__(self, folder: Path, most_open: int = 256) -> None:
        self.folder = folder
        self.most_open = most_open
        self._open: OrderedDict[str, list[int]] = OrderedDict()  # path -> [descriptor, users]
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str, part: str) -> str:
        return f"{self.folder}/{_key(name)}.{part}"

    def exists(self, name: str) -> bool:
        return os.path.exists(self.path(name, INDEX))

    def size(self, name: str, part: str) -> int:
        return os.path.getsize(self.path(name, part))

    def read(self, name: str, part: str, at: int, length: int) -> bytes:
        with self._using(self.path(name, part)) as file:
            return os.pread(file, length, at)

    def write(self, name: str, part: str, at: int, blob: bytes) -> None:
        with self._using(self.path(name, part)) as file:
            write_fully(file, blob, at)

    def cut(self, name: str, index: int, data: int) -> None:
        for part, size in ((INDEX, index), (DATA, data)):
            with self._using(self.path(name, part)) as file:
                os.ftruncate(file, size)

    def remove(self, name: str) -> None:
        for part in (INDEX, DATA):
            path = self.path(name, part)
            self._forget(path)
            Path(path).unlink(missing_ok=True)

    def sync(self, names: Iterable[str]) -> None:
        """Everything written so far to these streams, and their being there or gone, survives a power cut."""
        folders = {self.folder}
        for name in names:
            for part in (INDEX, DATA):
                path = Path(self.path(name, part))
                if path.exists():
                    with self._using(str(path)) as file:
                        os.fsync(file)
                if path.parent.exists():
                    folders.add(path.parent)
        for folder in folders:
            sync_folder(folder)

    def redo(self, changes: Iterable[Change]) -> set[str]:
        """Lay the journal's changes into the files again; doing it twice changes nothing."""
        touched = set()
        for change in changes:
            touched.add(change.name)
            if change.kind == DELETE:
                self.remove(change.name)
                continue
            if change.index_at == 0 and not self._begins_with(change):
                self.remove(change.name)
            self.write(change.name, INDEX, change.index_at, change.entries)
            self.write(change.name, DATA, change.data_at, change.data)
        return touched

    def _begins_with(self, birth: Change) -> bool:
        """Whether the files there are this stream's own, and not an earlier one's of the same name."""
        return self.exists(birth.name) and self.read(birth.name, INDEX, 0, len(birth.entries)) == birth.entries

    def close(self) -> None:
        for path in list(self._open):
            self._forget(path)

    @contextmanager
    def _using(self, path: str) -> Iterator[int]:
        with self._lock:
            held = self._open.get(path)
            if held is None:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                held = self._open[path] = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), 0]
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


@lru_cache(8192)
def _key(name: str) -> str:
    key = hashlib.sha256(name.encode()).hexdigest()[:40]
    return f"{key[:2]}/{key}"

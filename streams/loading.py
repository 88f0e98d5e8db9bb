"""What of the streams is in memory: read back from an index, believing no byte that does not prove itself."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection
from itertools import islice
from weakref import WeakValueDictionary
from zlib import crc32

from streams.files import DATA, INDEX, StreamFiles
from streams.frames import IndexEntry, frames
from streams.log import Settings, StreamLog
from streams.offsets import Offset

log = logging.getLogger(__name__)
CHECKED = 1 << 20  # how much of the data's end is checked; older bytes were synced long ago
IDLE = 10_000  # streams that stay in memory though nobody uses them
PAGES = 32 << 20  # bytes


class Memory:
    """The streams that were asked for last, and every one that somebody holds: there is one object for each."""

    def __init__(self, files: StreamFiles, most: int = IDLE) -> None:
        self._files, self._most = files, most
        self._held: WeakValueDictionary[str, StreamLog] = WeakValueDictionary()
        self._recent: OrderedDict[str, StreamLog] = OrderedDict()
        self._loading: dict[str, asyncio.Task[StreamLog | None]] = {}

    def get(self, name: str) -> StreamLog | None:
        found = self._held.get(name)
        if found:
            self.add(found)
        return found

    def add(self, stream: StreamLog) -> None:
        self._held[stream.name] = self._recent[stream.name] = stream
        self._recent.move_to_end(stream.name)

    def drop(self, name: str) -> None:
        self.disown(name)
        self._held.pop(name, None)
        self._recent.pop(name, None)

    def disown(self, name: str) -> None:
        """Whatever is being read from these files at the moment is no longer what they are about."""
        self._loading.pop(name, None)

    @property
    def is_crowded(self) -> bool:
        return len(self._recent) > self._most + self._most // 8

    def thin(self, wanted: Collection[str]) -> None:
        """Let go of those that nobody has asked for in the longest time."""
        for name in list(islice(self._recent, len(self._recent) - self._most)):
            if name not in wanted:
                del self._recent[name]

    async def load(self, name: str) -> StreamLog | None:
        """From its files, once for all who ask at the same time."""
        loading = self._loading.get(name)
        if loading is None:
            loading = self._loading[name] = asyncio.create_task(self._load(name))
        return await asyncio.shield(loading)

    async def _load(self, name: str) -> StreamLog | None:
        loaded = None
        try:
            loaded = await asyncio.to_thread(load, self._files, name)
        finally:
            is_mine = self._loading.get(name) is asyncio.current_task()
            if is_mine:
                del self._loading[name]
        if loaded and is_mine:
            self.add(loaded)
        return self._held.get(name)


class Pages:
    """For each stream the page that was read last, as many as there is room for: many watchers ask for the same."""

    def __init__(self, room: int = PAGES) -> None:
        self._room = room
        self._pages: OrderedDict[str, tuple[Offset, Offset, bytes]] = OrderedDict()

    def get(self, stream: StreamLog, start: Offset, end: Offset) -> bytes | None:
        first, last, data = self._pages.get(stream.settings.incarnation, (None, None, b""))
        return data if (first, last) == (start, end) else None

    def put(self, stream: StreamLog, start: Offset, end: Offset, data: bytes) -> None:
        before = self._pages.pop(stream.settings.incarnation, None)
        self._pages[stream.settings.incarnation] = start, end, data
        self._room += len(before[2] if before else b"") - len(data)
        while self._room < 0:
            self._room += len(self._pages.popitem(last=False)[1][2])


def load(files: StreamFiles, name: str) -> StreamLog | None:
    """The stream up to its last sound entry; None when not even its beginning is sound."""
    raw = files.read(name, INDEX, 0, files.size(name, INDEX))
    entries = [(end, IndexEntry.unpack(payload)) for end, payload in frames(raw)]
    if not entries or "settings" not in entries[0][1].state:
        return None
    birth = dict(entries[0][1].state["settings"])
    if birth.pop("name") != name:
        return None
    stream = StreamLog(name, Settings(**birth))
    data_size = files.size(name, DATA)
    for end, entry in entries:
        if not _is_sound(files, stream, entry, data_size):
            break
        stream.adopt(entry)
        stream.index_size = end
    stream.ragged = stream.index_size < len(raw) or stream.place(stream.tail) < data_size
    if stream.ragged:
        log.warning("Stream %s had a torn end; it was cut at %s.", name, stream.tail)
    return stream if stream.index_size else None


def _is_sound(files: StreamFiles, stream: StreamLog, entry: IndexEntry, data_size: int) -> bool:
    if (entry.messages, entry.before) != stream.tail:
        return False
    length = sum(entry.lengths) + (len(entry.lengths) if stream.settings.is_json else 0)
    start = stream.place(stream.tail)
    if start + length > data_size:
        return False
    if start + length < data_size - CHECKED:
        return True
    return crc32(files.read(stream.name, DATA, start, length)) == entry.checksum

"""A stream read back from its files, believing no byte that does not prove itself."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from itertools import chain, islice
from weakref import WeakValueDictionary
from zlib import crc32

from streams.offsets import Offset
from streams.storage.files import DATA, INDEX, StreamFiles
from streams.storage.frames import IndexEntry, entries, frame_size, place
from streams.storage.log import StreamLog
from streams.terms import Settings

log = logging.getLogger(__name__)
CHECKED = 1 << 20  # how much of the data's end is checked; older bytes were synced long ago
PEEK = 4096  # bytes that hold the beginning of nearly every stream
IDLE = 10_000  # streams that stay in memory though nobody uses them


class Memory:
    """The streams that were asked for last, and every one that somebody holds: there is one object for each."""

    def __init__(self, files: StreamFiles, most: int = IDLE) -> None:
        self._files, self._most = files, most
        self._held: WeakValueDictionary[str, StreamLog] = WeakValueDictionary()
        self._recent: OrderedDict[str, StreamLog] = OrderedDict()
        self._loading: dict[str, asyncio.Task[StreamLog | None]] = {}

    def get(self, name: str) -> StreamLog | None:
        found = self._recent.get(name) or self._held.get(name)
        if found:
            self.add(found)
        return found

    def add(self, stream: StreamLog) -> None:
        # Nearly always it is there already: a new weak reference costs more than all else here.
        if self._recent.get(stream.name) is not stream:
            self._held[stream.name] = self._recent[stream.name] = stream
        self._recent.move_to_end(stream.name)
        if len(self._recent) > self._most + self._most // 8:
            self._thin()

    def drop(self, name: str) -> None:
        self.disown(name)
        self._held.pop(name, None)
        self._recent.pop(name, None)

    def disown(self, name: str) -> None:
        """Whatever is being read from these files at the moment is no longer what they are about."""
        self._loading.pop(name, None)

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

    def _thin(self) -> None:
        """Let go of those that nobody has asked for in the longest time."""
        for name in list(islice(self._recent, len(self._recent) - self._most)):
            del self._recent[name]


def load(files: StreamFiles, name: str, before: int | None = None) -> StreamLog | None:
    """The stream up to its last sound entry, or as it was before the entry of that number.

    None when not even its beginning is sound. What lies behind in its files is written over by the next flush.
    """
    starts = files.starts(name)
    number = max(0, len(starts) - 1)
    while number >= 0:
        found = _load_segment(files, name, number, before)
        if found:
            found.segments = starts[: number + 1] or [found.settings.fork.at if found.settings.fork else Offset(0, 0)]
            found.recent.begin(found.tail, found.is_json)
            found.come_back()
            return found
        # A crash came between the list, which names a segment, and the segment.
        number -= 1
    return None


def _load_segment(files: StreamFiles, name: str, number: int, before: int | None) -> StreamLog | None:
    size = files.size(name, INDEX, number)
    found = entries(files.read(name, INDEX, number, 0, size) if size else b"")
    end, first = next(found, (0, None))
    stream = _beginning(first) if first else None
    if first is None or stream is None or stream.name != name or not _is_before(first, before):
        return None
    start, data_size = stream.tail, files.size(name, DATA, number)
    if "birth" in first.state:
        found = chain([(end, first)], found)
    stream.index_size = end
    for end, entry in found:
        if not _is_before(entry, before):
            break
        if not _follows(stream, entry) or not _is_sound(files, stream, number, entry, data_size):
            log.warning("Stream %s is damaged behind %s; it was cut there.", name, stream.tail)
            break
        stream.adopt(entry)
        stream.index_size = end
        stream.data_size = place(stream.tail, start, stream.is_json)
    return stream if stream.number else None


def _is_before(entry: IndexEntry, before: int | None) -> bool:
    return before is None or entry.number < before


def _beginning(entry: IndexEntry) -> StreamLog | None:
    if "head" in entry.state:
        return StreamLog.restored(entry)
    return StreamLog.born(entry.state["birth"]) if "birth" in entry.state else None


def _follows(stream: StreamLog, entry: IndexEntry) -> bool:
    return entry.number == stream.number + 1 and (entry.messages, entry.size) == stream.tail


def _is_sound(files: StreamFiles, stream: StreamLog, segment: int, entry: IndexEntry, data_size: int) -> bool:
    at = stream.data_size
    length = entry.stored(stream.is_json)
    if at + length > data_size:
        return False
    if at + length < data_size - CHECKED or not length:
        return True
    return crc32(files.read(stream.name, DATA, segment, at, length)) == entry.checksum


def named(files: StreamFiles, folder: str) -> dict[str, Settings]:
    """The streams that have files there, with what is fixed about them."""
    found: dict[str, StreamLog] = {}
    for key, path in files.indexes(folder):
        beginning = None if key in found else _peek(path)
        if beginning is not None:
            found[key] = beginning
    return {stream.name: stream.settings for stream in found.values()}


def _peek(path: str) -> StreamLog | None:
    try:
        with open(path, "rb") as file:
            head = file.read(PEEK)
            head += file.read(max(0, frame_size(head) - PEEK))
    except FileNotFoundError:
        return None
    return next((_beginning(entry) for _, entry in entries(head)), None)

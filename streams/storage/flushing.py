"""From memory into segments: what the journal holds is laid into the files of its streams and synced."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable
from typing import NamedTuple

from streams.offsets import START, Offset
from streams.storage.checkpoint import Checkpoint
from streams.storage.files import DATA, INDEX, StreamFiles
from streams.storage.frames import IndexEntry, entries
from streams.storage.journal import DELETE, PLACE, Change
from streams.storage.loading import load
from streams.storage.log import StreamLog

log = logging.getLogger(__name__)
FULL_BYTES, FULL_MESSAGES = 64 << 20, 1 << 16  # of a segment, after which a flush begins the next
FULL_INDEX = 16 << 20  # and bytes of its index, for a stream of which only its producers or its touches change


class Job(NamedTuple):
    """What one flush writes of one stream, taken at one moment."""

    log: StreamLog
    segments: list[Offset]
    index_at: int
    data_at: int
    entries: int
    packed: bytes
    data: bytes
    end: Offset
    head: bytes | None  # of the segment that begins behind it
    drop: range  # segments that are no longer kept


def job(stream: StreamLog, most: int = FULL_BYTES) -> Job:
    """`most` bytes of a segment. Whole segments are dropped, so what is to be kept short has short ones."""
    recent = stream.recent
    segments = stream.segments or [recent.start]
    data, packed = b"".join(recent.chunks), b"".join(recent.packed)
    is_full = (
        stream.data_size + len(data) >= min(most, stream.settings.retain or most)
        or stream.index_size + len(packed) >= FULL_INDEX
        or stream.tail.messages - segments[-1].messages >= FULL_MESSAGES
    )
    head = _head(stream) if is_full else None
    kept = sum(1 for start in segments[1:] if start <= stream.first)
    return Job(
        stream,
        segments,
        stream.index_size,
        stream.data_size,
        len(recent.packed),
        packed,
        data,
        stream.tail,
        head,
        range(stream.dropped, kept),
    )


def lay(files: StreamFiles, job: Job) -> list[str]:
    """Write it, in a thread; the paths that have to be synced. Doing it twice changes nothing."""
    name, last = job.log.name, len(job.segments) - 1
    paths = []
    # Data before index: an index entry never speaks of bytes that are not there.
    if job.data:
        paths.append(files.write(name, DATA, last, job.data_at, job.data))
    if job.packed:
        paths.append(files.write(name, INDEX, last, job.index_at, job.packed))
    if job.head:
        paths.append(files.write(name, INDEX, last + 1, 0, job.head))
    return paths


def seal(files: StreamFiles, job: Job) -> None:
    """When everything is synced: from now on the next segment is the last, and what nobody keeps goes."""
    if job.head:
        files.list_starts(job.log.name, [*job.segments, job.end])
    for segment in job.drop:
        files.remove_segment(job.log.name, segment)


def settle(job: Job) -> None:
    """On the event loop: the stream is now read from its files, up to there."""
    stream = job.log
    stream.recent.drop(job.entries)
    stream.segments, stream.dropped = job.segments, max(stream.dropped, job.drop.stop)
    stream.index_size, stream.data_size = job.index_at + len(job.packed), job.data_at + len(job.data)
    if job.head:
        stream.segments = [*job.segments, job.end]
        stream.index_size, stream.data_size = len(job.head), 0


class Recovery:
    """Reads the journal back into memory. What it tells, the files need not be believed about."""

    def __init__(self, files: StreamFiles) -> None:
        self._files = files
        self.logs: dict[str, StreamLog] = {}
        self.removed: set[str] = set()
        self.shortened: list[StreamLog] = []  # whose lists name segments that are about to be written again
        self.place = Checkpoint()
        self._lost: dict[str, int] = {}  # from which entry on

    def read(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.kind == DELETE:
                self.logs.pop(change.name, None)
                self.removed.add(change.name)
                self._lost.pop(change.name, None)
            elif change.kind == PLACE:
                self.place = Checkpoint.unpack(change.entries)
            else:
                self._take(change)
        for stream in self.logs.values():
            stream.come_back()
        # A deletion that a crash interrupted leaves gaps too, but the journal goes on to tell that it was one.
        for name, number in self._lost.items():
            log.error("Stream %s has a gap before its entry %d; what follows is lost.", name, number)

    def _take(self, change: Change) -> None:
        begun = at = 0
        for end, entry in entries(change.entries):
            stream = self._stream(change.name, entry)
            length = entry.stored(stream is not None and stream.is_json)
            if stream is not None:
                stream.adopt(entry)
                stream.recent.add(entry, change.entries[begun:end], change.data[at : at + length])
            begun, at = end, at + length

    def _stream(self, name: str, entry: IndexEntry) -> StreamLog | None:
        if "birth" in entry.state:
            self._lost.pop(name, None)
            self.removed.add(name)  # what lies there is an earlier stream's, or this one's without a sync
            self.logs[name] = stream = StreamLog.born(entry.state["birth"])
            return stream
        if name in self._lost:
            return None
        found = self.logs.get(name)
        if found is None and name not in self.removed:
            found = load(self._files, name, before=entry.number)
        if found is None or found.number + 1 != entry.number:
            self._lost[name] = entry.number
            return None
        self.logs[name] = found
        if len(self._files.starts(name)) > len(found.segments):
            self.shortened.append(found)
        return found


def _head(stream: StreamLog) -> bytes:
    tail = stream.tail
    return IndexEntry(stream.number, tail.messages, tail.bytes, array("I"), 0, {"head": stream.snapshot()}).pack()


def surplus(stream: StreamLog) -> Offset:
    """From where on a stream has to be kept; where it begins now, if nothing may go."""
    retain = stream.settings.retain
    if retain is None or stream.references:
        return stream.first
    enough = [start for start in stream.segments if stream.tail.bytes - start.bytes >= retain]
    return max([stream.first, START, *enough])

"""The store: streams in a folder. Acknowledged means on disk, and visible means acknowledged.

What is asked for is written to a journal (`committing`), read from memory and segments (`spans`), and survives a crash.
This is the one place that the server, the sweep and whatever orders requests from elsewhere talk to.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from streams.offsets import Offset
from streams.refusals import AlreadyThere, Gone, Malformed, NoStream, Refusal, StorageFailed
from streams.storage.batch import AppendRequest, CreateRequest, DeleteRequest, NoteRequest, Request
from streams.storage.committing import JOURNAL_SIZE, Commits
from streams.storage.files import FOLDERS, StreamFiles
from streams.storage.flushing import FULL_BYTES, surplus
from streams.storage.forking import forked
from streams.storage.loading import IDLE, Memory, named
from streams.storage.log import StreamLog
from streams.storage.spans import Spans
from streams.terms import Append, Appended, Settings

PAGE = 1 << 20


class FolderRefused(RuntimeError):
    """Streams cannot be served out of this folder; it says why."""


class FolderInUse(FolderRefused):
    """Another process already writes this folder of streams."""


class Page(NamedTuple):
    """Bytes between two offsets: for JSON, messages with commas between them and no brackets around."""

    data: bytes
    start: Offset
    end: Offset
    up_to_date: bool
    closed: bool  # the stream is closed and this page reaches its end


class Store:
    """All streams of a data folder, for the one process that holds it. Used from one event loop."""

    is_shared = False  # whether other machines have the same streams, and change them

    def __init__(
        self,
        folder: str | Path,
        journal_size: int = JOURNAL_SIZE,
        most_open: int = 256,
        segment_size: int = FULL_BYTES,
        idle: int = IDLE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self._clock = Path(folder), clock
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold = _take_hold(self.folder)
        self.files = StreamFiles(self.folder / "streams", most_open)
        self._logs, self._spans = Memory(self.files, idle), Spans(self.files, self._source)
        self._commits = Commits(self.folder / "journal", self.files, self._logs, journal_size, segment_size)
        self._commits.on_flushed = self._shorten
        self._notes: set[asyncio.Task[Appended]] = set()

    @property
    def listeners(self) -> list[Callable[[StreamLog], None]]:
        """Called on the event loop for each stream that has grown, was closed or is gone."""
        return self._commits.listeners

    async def ready(self, patience: float = 30.0) -> None:
        """Wait, at most so many seconds, until it is as others know it: there are none, so it is."""

    async def find(self, name: str) -> StreamLog | None:
        """The stream, also one that only its forks still see; None for one whose time is over."""
        found = await self._load(name)
        if found is None or found.is_soft_deleted or not self._is_over(found):
            return found
        try:
            await self._ask(DeleteRequest(name, found.settings.incarnation, self._clock(), expired=True))
        except Refusal:
            pass  # somebody else was faster, or the disk is full: gone it is all the same
        left = await self._load(name)
        return left if left and left.is_soft_deleted else None

    async def get(self, name: str) -> StreamLog:
        """The stream. Raises `NoStream`, and `Gone` for one that only its forks still see."""
        found = await self.find(name)
        if found is None:
            raise NoStream("There is no such stream.")
        if found.is_soft_deleted:
            raise Gone("The stream was deleted.")
        return found

    async def create(self, name: str, settings: Settings, first: Append | None = None) -> Appended:
        """`duplicate` in the answer means that it was there already, with the same settings.

        Raises `AlreadyThere` for one with others, `NoStream` if the stream to fork from went, and what `append` says of
        a disk.
        """
        settings = replace(settings, incarnation=token_hex(6))
        return await self._ask(CreateRequest(name, settings, first or Append(), self._clock()))

    async def fork(
        self, name: str, settings: Settings, first: Append, source_name: str, at: Offset | None, sub: int
    ) -> Appended:
        """A new stream that begins with what lies in another before `at` (its tail if None) and `sub` beyond.

        `sub` counts messages (JSON) or bytes of the next message. An empty `content_type` takes the source's.
        """
        source = await self.find(source_name)
        if source is None:
            raise NoStream("There is no stream to fork from.")
        if source.is_soft_deleted:
            raise AlreadyThere("The stream to fork from was deleted.")
        there = await self.find(name)
        if at is None and there and there.settings.fork and there.settings.fork.source == source_name:
            at = there.settings.fork.at
        settings, borrowed = await forked(self._spans, source, settings, source.tail if at is None else at, sub)
        return await self.create(name, settings, replace(first, messages=[*borrowed, *first.messages]))

    async def append(self, stream: StreamLog, append: Append) -> Appended:
        """On return it is on disk.

        Raises `NoStream` and `Gone` for a stream that went, `StreamClosed`, `TailMoved` (not at `expected`),
        `OutOfSequence` (`stream_seq`), `ProducerFenced` and `ProducerGap`, `Malformed` for a new epoch that does not
        begin with 0; `DiskFull` and `StorageFailed`, after which nothing was added.
        """
        stream.touched = now = self._clock()
        # Whoever appends holds the stream, so nothing has to be brought.
        return await self._commits.ask(AppendRequest(stream.name, stream.settings.incarnation, append, now))

    async def delete(self, name: str) -> None:
        """Or, where forks borrow from it, hide it from all others. Raises `NoStream`, `Gone`, and as `append` does."""
        stream = await self.get(name)
        await self._ask(DeleteRequest(name, stream.settings.incarnation, self._clock()))

    async def read(self, stream: StreamLog, start: Offset, most: int | None = None, size: int = PAGE) -> Page:
        """A page from `start` on, bounded in bytes and, if asked, in messages."""
        await self.require(stream, start)
        data, end = await self._spans.forward(stream, start, size, most)
        return self._page(stream, data, start, end)

    async def before(self, stream: StreamLog, stop: Offset, most: int, size: int = PAGE) -> Page:
        """The page that ends at `stop`: the last messages before it."""
        await self.require(stream, stop)
        start = await self._spans.backward(stream, stop, size, most)
        return self._page(stream, await self._spans.between(stream, start, stop), start, stop)

    async def require(self, stream: StreamLog, offset: Offset) -> None:
        """Raises `Malformed` for a place that was never given out, `Dropped` for one that is no longer kept."""
        if not await self.holds(stream, offset):
            raise Malformed("This offset was never given out for this stream.")

    async def holds(self, stream: StreamLog, offset: Offset) -> bool:
        """Whether this place was given out for the stream. Raises `Dropped` for one that is no longer kept."""
        return await self._spans.holds(stream, offset)

    async def begin(self, stream: StreamLog) -> Offset:
        """The first place that is kept."""
        return await self._spans.begin(stream)

    def touch(self, stream: StreamLog) -> None:
        """Somebody reads it, so it lives on. A restart may let it live a little longer, never shorter."""
        if stream.settings.ttl is None:
            return
        stream.touched = now = self._clock()
        if now - stream.touch_kept >= stream.slack:
            stream.touch_kept = now
            self._note(stream, t=now)

    async def names(self) -> list[str]:
        """Of all streams that are there, also of those that only their forks still see.

        Reads a little of every one's files: it takes a while where there are many.
        """
        found = set(self._commits.dirty)
        for folder in FOLDERS:
            found |= (await self._settings_in(folder)).keys()
        return [name for name in sorted(found) if self._is_there(name)]

    async def mortal_in(self, folder: str) -> list[str]:
        """Of the streams that have files in one of the `FOLDERS`, those that end by themselves some day."""
        found = await self._settings_in(folder)
        return [name for name, settings in found.items() if settings.is_mortal]

    def mortal_waiting(self) -> list[str]:
        """Such streams that have not been laid into files yet, or that have grown since."""
        return [name for name, stream in self._commits.dirty.items() if stream.settings.is_mortal]

    async def _settings_in(self, folder: str) -> dict[str, Settings]:
        found = await asyncio.to_thread(named, self.files, folder)
        return {name: settings for name, settings in found.items() if not self._commits.has_removed(name)}

    async def settle(self) -> None:
        """Wait until what was asked for is answered and no flush is under way."""
        await self._commits.settle()

    async def close(self) -> None:
        """Finish what was asked for, lay it into files, and let go of the folder."""
        for task in self._notes:
            task.cancel()
        await self._commits.close()
        self.files.close()
        os.close(self._hold)

    def _page(self, stream: StreamLog, data: bytes, start: Offset, end: Offset) -> Page:
        if stream.gone:
            raise NoStream("There is no such stream.")
        up_to_date = end == stream.tail
        if stream.is_json and data:
            data = data[:-1]  # the comma behind the last
        return Page(data, start, end, up_to_date, up_to_date and stream.closed)

    def _is_there(self, name: str) -> bool:
        """Of a name that was read from files a moment ago."""
        return self._logs.get(name) is not None or not self._commits.has_removed(name)

    def _is_over(self, stream: StreamLog) -> bool:
        return stream.has_expired(self._clock())

    async def _load(self, name: str) -> StreamLog | None:
        found = self._logs.get(name)
        if found or self._commits.has_removed(name) or not self.files.exists(name):
            return found
        return await self._logs.load(name)

    async def _source(self, stream: StreamLog) -> StreamLog:
        fork = stream.settings.fork
        source = await self._load(fork.source) if fork else None
        if not fork or source is None or source.settings.incarnation != fork.incarnation:
            raise StorageFailed("The stream that this one was forked from is missing.")
        return source

    async def _ask(self, request: Request) -> Appended:
        await self._bring(request)
        return await self._commits.ask(request)

    async def _bring(self, request: Request) -> None:
        """Into memory, and held there, whatever the request may touch."""
        found = await self._load(request.name)
        while found is not None:
            request.held.append(found)
            origin = found.settings.fork
            found = await self._load(origin.source) if origin else None
        fork = request.settings.fork if isinstance(request, CreateRequest) else None
        if fork and (source := await self._load(fork.source)):
            request.held.append(source)

    def _shorten(self, stream: StreamLog) -> None:
        """Say from where on it is kept; the next flush takes away the segments before that."""
        kept = surplus(stream)
        if kept > stream.first:
            self._note(stream, r=kept)

    def _note(self, stream: StreamLog, **state: float | Offset) -> None:
        request = NoteRequest(stream.name, stream.settings.incarnation, self._clock(), state)
        task = asyncio.create_task(self._ask(request))
        self._notes.add(task)
        task.add_done_callback(self._noted)

    def _noted(self, task: asyncio.Task[Appended]) -> None:
        self._notes.discard(task)
        if not task.cancelled():
            task.exception()  # a disk that is full, a stream that has gone: whoever touches it again says it again


def _take_hold(folder: Path) -> int:
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise FolderInUse(f"{folder} is already held by another stream server.") from None
    return file

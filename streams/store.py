"""The store: streams in a folder. Acknowledged means on disk, and visible means acknowledged.

Requests gather while a batch is being synced and go together in the next one, so the number of syncs does not grow with
the number of writers. A batch goes first into the journal (one write, one sync: from then on it happened) and then,
unsynced, into the files of its streams, which readers read. When the journal has grown enough, those files are synced
in the background and the old journal is dropped; after a crash the journal is laid into the files again.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from streams.batch import AppendRequest, Batch, CreateRequest, DeleteRequest, Request
from streams.files import DATA, StreamFiles
from streams.journal import Journal, replay
from streams.loading import Memory, Pages
from streams.log import Append, Appended, Settings, StreamLog
from streams.offsets import Offset
from streams.refusals import DiskFull, Malformed, NoStream, StorageFailed

log = logging.getLogger(__name__)
PAGE = 1 << 20
JOURNAL_SIZE = 64 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FolderInUse(RuntimeError):
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

    def __init__(self, folder: str | Path, journal_size: int = JOURNAL_SIZE, most_open: int = 256) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hold = _take_hold(self.folder)
        self.files = StreamFiles(self.folder / "streams", most_open)
        self._recover()
        self.journal = Journal(self.folder / "journal")
        self._journal_size = self._turn_at = journal_size
        self._is_doubtful = False  # a sync failed: from then on only the journals know for sure what the files hold
        self._dirty: set[str] = set()
        self._logs, self._pages = Memory(self.files), Pages()
        self._births: set[str] = set()
        self._queue: list[Request] = []
        self._committing: asyncio.Task[None] | None = None
        self._tidying: asyncio.Future[None] | None = None
        self._writer = ThreadPoolExecutor(1, "streams-writer")
        self.listeners: list[Callable[[StreamLog], None]] = []

    async def find(self, name: str) -> StreamLog | None:
        found = self._logs.get(name)
        if found or name in self._births or not self.files.exists(name):
            return found
        found = await self._logs.load(name)
        if self._logs.is_crowded:
            self._thin()
        return found

    async def create(self, name: str, settings: Settings, first: Append | None = None) -> Appended:
        """`duplicate` in the answer means that it was there already, with the same settings."""
        await self.find(name)
        return await self._ask(CreateRequest(name, settings, first or Append()))

    async def append(self, stream: StreamLog, append: Append) -> Appended:
        return await self._ask(AppendRequest(stream, append))

    async def delete(self, name: str) -> None:
        stream = await self.find(name)
        if stream is None:
            raise NoStream("There is no such stream.")
        await self._ask(DeleteRequest(stream))

    async def read(self, stream: StreamLog, start: Offset, most: int | None = None, size: int = PAGE) -> Page:
        """A page from `start` on, bounded in bytes and, if asked, in messages."""
        if not stream.holds(start):
            raise Malformed("This offset was never given out for this stream.")
        return await self._page(stream, start, stream.forward(start, size, most))

    async def before(self, stream: StreamLog, stop: Offset, most: int, size: int = PAGE) -> Page:
        """The page that ends at `stop`: the last messages before it."""
        if not stream.holds(stop):
            raise Malformed("This offset was never given out for this stream.")
        return await self._page(stream, stream.backward(stop, size, most), stop)

    async def close(self) -> None:
        """Finish what was asked for, sync every stream, and let go of the folder."""
        while self._committing or self._tidying:
            await asyncio.wait([task for task in (self._committing, self._tidying) if task])
            await asyncio.sleep(0)
        if not (self.journal.is_broken or self._is_doubtful):
            try:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._tidy, set(self._dirty))
            except OSError as error:
                log.error("Streams could not be synced; the next start reads them from the journal: %s", error)
        self._writer.shutdown()
        self.journal.close()
        self.files.close()
        os.close(self._hold)

    async def _page(self, stream: StreamLog, start: Offset, end: Offset) -> Page:
        up_to_date = end.messages == len(stream.ends)
        closed = up_to_date and stream.closed
        data = self._pages.get(stream, start, end)
        if data is None:
            place = stream.place(start)
            length = max(0, stream.place(end) - place - stream.settings.is_json)
            if length > 1 << 16:
                data = await asyncio.to_thread(self.files.read, stream.name, DATA, place, length)
            else:
                data = self.files.read(stream.name, DATA, place, length) if length > 0 else b""
                self._pages.put(stream, start, end, data)
        if stream.gone:
            raise NoStream("There is no such stream.")
        return Page(data, start, end, up_to_date, closed)

    async def _ask(self, request: Request) -> Appended:
        self._queue.append(request)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        return await request.future

    async def _commit_all(self) -> None:
        try:
            while self._queue:
                requests, self._queue = self._queue, []
                try:
                    await self._commit(requests)
                except BaseException:
                    # A bug, or the end of the loop: nobody may be left waiting for an answer.
                    for request in requests:
                        request.future.cancel()
                    raise
        finally:
            self._committing = None

    async def _commit(self, requests: list[Request]) -> None:
        batch = Batch(self._logs.get)
        self._queue[:0] = batch.gather(requests)
        touched = batch.touched
        self._births = {draft.log.name for draft in touched if draft.is_birth}
        for name in self._births:
            self._logs.disown(name)
        try:
            if touched:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._write, batch)
        except OSError as error:
            self._refuse(batch, error)
        else:
            self._publish(batch)
        finally:
            self._births = set()

    def _write(self, batch: Batch) -> None:
        if self.journal.is_broken:
            raise OSError(errno.EIO, "the journal failed earlier")
        batch.write(self.journal, self.files)

    def _publish(self, batch: Batch) -> None:
        batch.publish()
        for draft in batch.touched:
            stream = draft.log
            self._dirty.add(stream.name)
            if draft.deleted:
                self._logs.drop(stream.name)
            else:
                self._logs.add(stream)
            stream.wake()
            for listener in self.listeners:
                listener(stream)
        if self._logs.is_crowded:
            self._thin()
        if self.journal.size > self._turn_at and self._tidying is None:
            self._turn()

    def _thin(self) -> None:
        # A creation that waits has seen that there is no such stream: if one came before it, it has to find that.
        self._logs.thin({request.name for request in self._queue})

    def _refuse(self, batch: Batch, error: OSError) -> None:
        log.error("A batch of appends could not be written: %s", error)
        if error.errno in FULL and not self.journal.is_broken:
            batch.fail(DiskFull("The disk is full; nothing was added. Reading goes on."))
        else:
            batch.fail(StorageFailed("The disk failed; nothing was acknowledged."))

    def _turn(self) -> None:
        """Between two batches: a new journal at once, the old ones dropped when their streams are synced."""
        try:
            older = self.journal.turn()
        except OSError as error:
            self._turn_at = self.journal.size + self._journal_size
            log.error("No new journal could be begun, the old one goes on: %s", error)
            return
        self._turn_at = self._journal_size
        if self._is_doubtful:
            return
        dirty, self._dirty = self._dirty, set()

        def drop() -> None:
            self.files.sync(dirty)
            for path in older:
                path.unlink()

        def after(done: asyncio.Future[None]) -> None:
            self._tidying = None
            if error := done.exception():
                # The kernel says once that it lost pages; a later sync would succeed without them. So the journals
                # stay, these and all that follow, for a restart to lay into the files again.
                self._is_doubtful = True
                log.error("Streams could not be synced; restart the server once the disk is well: %s", error)

        self._tidying = asyncio.get_running_loop().run_in_executor(None, drop)
        self._tidying.add_done_callback(after)

    def _tidy(self, dirty: set[str]) -> None:
        self.files.sync(dirty)
        for path in self.journal.files():
            path.unlink()

    def _recover(self) -> None:
        folder = self.folder / "journal"
        touched = self.files.redo(replay(folder))
        if touched:
            self.files.sync(touched)
            log.info("Recovered %d streams from the journal.", len(touched))
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()


def _take_hold(folder: Path) -> int:
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise FolderInUse(f"{folder} is already held by another stream server.") from None
    return file

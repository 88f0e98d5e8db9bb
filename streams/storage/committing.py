"""Committing: requests become batches in the journal, then memory, and in the background segments.

Requests gather while a batch is being synced and go together in the next one, so the number of syncs does not grow with
the number of writers. A batch is one write and one sync. When the journal has grown enough, what it holds is laid into
the segments of its streams, and the journal is dropped; after a crash it is read back into memory.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from streams.storage import flushing
from streams.storage.batch import Batch, Request
from streams.storage.checkpoint import Checkpoint
from streams.storage.disk import FULL
from streams.storage.files import StreamFiles
from streams.storage.flushing import Job, Recovery
from streams.storage.journal import Journal, files, replay
from streams.storage.loading import Memory
from streams.storage.log import StreamLog
from streams.storage.own_thread import OwnThread
from streams.terms import Appended

T = TypeVar("T")
log = logging.getLogger(__name__)
JOURNAL_SIZE = 64 << 20
MOST_DIRTY = 20_000  # streams, each of which takes about 3 kB of memory besides its messages
AT_ONCE = 200  # streams, after which the event loop goes on with other things
MOST_JOURNALS = 4  # as much may wait in memory to be flushed; then appends wait too
AGAIN = 5.0  # seconds after a flush that failed
QUICK = 0.0005  # seconds that the last sync took
SMALL = 1 << 16  # bytes
FEW = 8  # followers of a stream


class Commits:
    """The journal of a store, and what of it is not in files yet."""

    def __init__(
        self, folder: Path, stream_files: StreamFiles, logs: Memory, journal_size: int, segment_size: int
    ) -> None:
        self._files, self._logs = stream_files, logs
        self._size, self._segment_size = journal_size, segment_size
        self.dirty: dict[str, StreamLog] = {}
        self._removed: set[str] = set()  # whose files are still there
        self._removing: set[str] = set()
        self._waiting = 0  # bytes in memory that no file holds
        self.place = Checkpoint.read(folder)
        self._recover(folder)
        self._journal = Journal(folder)
        self._is_full = False  # the disk, when it was last asked to take more
        self._not_before = 0.0  # no flush before that time
        self._failure: OSError | None = self._journal.trouble  # of the last flush
        self._queue: list[Request] = []
        self._committing: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._writer, self._flusher = OwnThread("streams-writer"), OwnThread("streams-flusher")
        self.listeners: list[Callable[[StreamLog], None]] = []
        self.on_flushed: Callable[[StreamLog], None] | None = None

    async def ask(self, request: Request) -> Appended:
        """What came of it, when that is on disk. Raises a Refusal."""
        self.take(request)
        return await request.future

    def take(self, *requests: Request) -> None:
        """Their futures tell what came of them; those that are taken together go together, if they fit."""
        self._queue += requests
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())

    def has_removed(self, name: str) -> bool:
        """Whether files of that name are an earlier stream's, on their way out."""
        return name in self._removed or name in self._removing

    async def settle(self) -> None:
        """Wait until what was asked for is answered and no flush is under way."""
        while self._committing or self._flushing:
            await asyncio.wait([task for task in (self._committing, self._flushing) if task])
            await asyncio.sleep(0)

    async def close(self) -> None:
        await self.settle()
        jobs, removed = self._take()
        try:
            older = files(self._journal.folder)
            await self._flusher.do(partial(self._write_out, jobs, removed, older, self.place))
        except OSError as error:
            log.error("Streams could not be laid into files; the next start reads the journal: %s", error)
        self._writer.stop()
        self._flusher.stop()
        self._journal.close()

    async def _commit_all(self) -> None:
        try:
            while self._queue:
                requests, self._queue = self._queue, []
                try:
                    await self._commit(requests)
                except BaseException as error:
                    # A bug, or the end of the loop: nobody may be left waiting for an answer.
                    for request in requests:
                        request.future.cancel()
                    if not isinstance(error, Exception):
                        raise
                    log.exception("A batch of appends was given up.")
        finally:
            self._committing = None

    async def _commit(self, requests: list[Request]) -> None:
        if self._is_hindered:
            await self._flush()
            if self._flushing:
                await asyncio.wait([self._flushing])
        batch = Batch(self._logs.get)
        self._queue[:0] = batch.gather(requests, apart=self._is_full)
        if batch.touched:
            try:
                await self._write(batch)
            except OSError as error:
                self._is_full = self._is_full or error.errno in FULL
                batch.refuse(error)
                return
            self._publish(batch)
            self.place = batch.place or self.place
        # Whoever waits for an answer does not wait until a hundred followers have been written to; a few come first.
        if any(len(draft.log.waiters) > FEW for draft in batch.touched):
            batch.answer()
        self._wake(batch)
        batch.answer()
        if self._is_long or self._failure or (self._is_full and self._removed):
            await self._flush()

    async def _write(self, batch: Batch) -> None:
        """On return all of it is on disk; on an error none of it is."""
        if self._is_hindered and self._failure:
            raise self._failure
        payload, makes_room = batch.pack(), batch.makes_room
        if not payload:
            return  # what was born in this batch has gone in it as well
        if len(batch.answers) == 1 and self._journal.took < QUICK and len(payload) < SMALL:
            # Nobody else waits, and handing it to a thread and back takes as long as the disk does.
            self._journal.append(payload, makes_room=makes_room)
        else:
            await self._writer.do(partial(self._journal.append, payload, makes_room=makes_room))
        self._is_full = self._is_full and makes_room

    @property
    def _is_hindered(self) -> bool:
        """What memory holds has to go into files first: the journal failed, or there is too much of it."""
        is_much = self._waiting > self._size * MOST_JOURNALS or len(self.dirty) > MOST_DIRTY * MOST_JOURNALS
        return is_much or self._journal.trouble is not None

    @property
    def _is_long(self) -> bool:
        return self._journal.size > self._size or len(self.dirty) > MOST_DIRTY

    def _publish(self, batch: Batch) -> None:
        """From now on everybody sees it."""
        for draft in batch.touched:
            stream = draft.log
            for entry, packed, data in zip(draft.entries, draft.packed, draft.data, strict=True):
                stream.adopt(entry)
                stream.recent.add(entry, packed, data)
                self._waiting += len(packed) + len(data)
            if draft.deleted:
                stream.gone = True
                self._waiting -= stream.recent.weight
                self._removed.add(stream.name)
                self.dirty.pop(stream.name, None)
                self._logs.drop(stream.name)
            else:
                self.dirty[stream.name] = stream
                self._logs.add(stream)

    def _wake(self, batch: Batch) -> None:
        for draft in batch.touched:
            draft.log.wake()
            self._tell(draft.log)

    def _tell(self, stream: StreamLog) -> None:
        for listener in self.listeners:
            try:
                listener(stream)
            except Exception:
                # It happened, whoever could not be told.
                log.exception("A listener failed at %s.", stream.name)

    async def _flush(self) -> None:
        """Between two batches: a new journal at once, the old ones dropped when their streams are in files."""
        if self._flushing or time.monotonic() < self._not_before:
            return
        trouble = self._journal.trouble
        try:
            if trouble or self._is_long:
                await self._writer.do(self._journal.turn)
        except OSError as error:
            self._put_off(error)
            log.error("No new journal could be begun, the old one goes on: %s", error)
            return
        older = files(self._journal.folder)[:-1]
        self._removing, self._removed = self._removed, set()
        self._flushing = asyncio.create_task(self._flush_out(list(self.dirty.values()), older, self.place, trouble))

    async def _flush_out(
        self, streams: list[StreamLog], older: list[Path], place: Checkpoint, trouble: OSError | None
    ) -> None:
        try:
            # What comes meanwhile may go along: the new journal tells it too, and nothing is taken in twice.
            jobs = [
                flushing.job(stream, self._segment_size) async for stream in _a_few_at_once(streams) if not stream.gone
            ]
            await self._flusher.do(partial(self._write_out, jobs, self._removing, older, place))
        except Exception as error:  # noqa: BLE001  # whatever it is, what was removed must not come back
            # All of it is still in memory and in the old journals, so the next time it is written out again.
            self._removed |= self._removing
            self._put_off(error if isinstance(error, OSError) else OSError(errno.EIO, str(error)))
            log.error("Streams could not be laid into files; that is tried again: %s", error)
        else:
            self._failure = None
            if self._journal.trouble is trouble:
                self._journal.trouble = None
            async for job in _a_few_at_once(jobs):
                self._settle(job)
                if self.on_flushed and not job.log.gone:
                    self.on_flushed(job.log)
        finally:
            self._removing = set()
            self._flushing = None

    def _put_off(self, error: OSError) -> None:
        self._failure, self._not_before = error, time.monotonic() + AGAIN

    def _take(self) -> tuple[list[Job], set[str]]:
        self._removing, self._removed = self._removed, set()
        return [flushing.job(stream, self._segment_size) for stream in self.dirty.values()], self._removing

    def _write_out(self, jobs: list[Job], removed: set[str], older: list[Path], place: Checkpoint) -> None:
        for name in removed:
            self._files.remove(name)
        paths = [path for job in jobs for path in flushing.lay(self._files, job)]
        self._files.sync(paths)
        self._files.sync_folders(removed)
        for job in jobs:
            flushing.seal(self._files, job)
        if older and place.sequence:
            place.write(older[0].parent)
        for path in older:
            path.unlink(missing_ok=True)

    def _settle(self, job: Job) -> None:
        if job.log.gone:
            return
        self._waiting -= job.log.recent.weight
        flushing.settle(job)
        self._waiting += job.log.recent.weight
        if not job.log.recent.packed:
            self.dirty.pop(job.log.name, None)

    def _recover(self, folder: Path) -> None:
        recovery = Recovery(self._files)
        recovery.read(replay(folder))
        self.dirty, self._removed = recovery.logs, recovery.removed
        self.place = max(self.place, recovery.place)
        for stream in self.dirty.values():
            self._logs.add(stream)
            self._waiting += stream.recent.weight
        jobs, removed = self._take()
        try:
            for stream in recovery.shortened:
                self._files.list_starts(stream.name, stream.segments)
            self._write_out(jobs, removed, files(folder), self.place)
        except OSError as error:
            self._removed = removed
            log.error("Streams could not be laid into files; that is tried again: %s", error)
        else:
            for job in jobs:
                self._settle(job)
        self._removing = set()


async def _a_few_at_once(things: list[T]) -> AsyncIterator[T]:
    for number, thing in enumerate(things):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        yield thing

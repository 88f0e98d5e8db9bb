"""A batch: everything asked for while the previous one was on its way to disk, committed by one sync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from secrets import token_hex

from streams.files import DATA, INDEX, StreamFiles
from streams.journal import DELETE, WRITE, Change, Journal
from streams.log import Append, Appended, Draft, Settings, StreamLog
from streams.offsets import Offset
from streams.refusals import AlreadyThere, NoStream, Refusal

Find = Callable[[str], StreamLog | None]


class Batch:
    """Drafts of the streams it touches, and who waits for which answer."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.drafts: dict[str, Draft] = {}
        self.answers: list[tuple[asyncio.Future[Appended], Appended]] = []

    def draft(self, name: str) -> Draft:
        draft = self.drafts.get(name)
        if draft is None:
            log = self._find(name)
            if log is None:
                raise NoStream("There is no such stream.")
            draft = self.drafts[name] = Draft(log)
        if draft.deleted:
            raise NoStream("There is no such stream.")
        return draft

    def gather(self, requests: list[Request]) -> list[Request]:
        """Decide each of them; from the first on that can only follow when this batch is on disk, they come back."""
        for number, request in enumerate(requests):
            if request.future.cancelled():
                continue
            if request.has_to_wait(self):
                return requests[number:]
            try:
                self.answers.append((request.future, request.plan(self)))
            except Refusal as refusal:
                request.future.set_exception(refusal)
        return []

    @property
    def touched(self) -> list[Draft]:
        return [draft for draft in self.drafts.values() if draft.entries or draft.deleted]

    def write(self, journal: Journal, files: StreamFiles) -> None:
        """In the writer's thread. On return all of it is on disk; on an error none of it is."""
        touched, mark = self.touched, journal.size
        journal.append(b"".join(change.pack() for draft in touched for change in changes(draft)))
        growing = [draft for draft in touched if not draft.deleted]
        try:
            for draft in growing:
                lay(draft, files)
        except OSError:
            journal.cut(mark)
            for draft in growing:
                files.cut(draft.log.name, draft.log.index_size, draft.log.place(draft.log.tail))
            raise
        self._remove(journal, files)

    def publish(self) -> None:
        """From now on everybody sees it, and whoever asked for it hears so."""
        for draft in self.touched:
            for entry in draft.entries:
                draft.log.adopt(entry)
            draft.log.index_size += sum(map(len, draft.index))
            draft.log.ragged = False
            draft.log.gone = draft.deleted
        for future, answer in self.answers:
            if not future.done():
                future.set_result(answer)

    def _remove(self, journal: Journal, files: StreamFiles) -> None:
        """Last, when nothing can fail any more for which it would have to be taken back."""
        try:
            for draft in self.touched:
                if draft.deleted:
                    files.remove(draft.log.name)
        except OSError:
            journal.is_broken = True  # what is left of them a restart takes away, which reads the journal
            raise

    def fail(self, error: Exception) -> None:
        for future, _ in self.answers:
            if not future.done():
                future.set_exception(error)


def changes(draft: Draft) -> list[Change]:
    log = draft.log
    found = []
    if draft.entries:
        index_at, data_at = log.index_size, log.place(log.tail)
        found.append(Change(WRITE, log.name, index_at, data_at, b"".join(draft.index), b"".join(draft.data)))
    if draft.deleted:
        found.append(Change(DELETE, log.name))
    return found


def lay(draft: Draft, files: StreamFiles) -> None:
    log = draft.log
    data_at = log.place(log.tail)
    if log.ragged:
        files.cut(log.name, log.index_size, data_at)
    # Data before index: an index entry never speaks of bytes that are not there.
    files.write(log.name, DATA, data_at, b"".join(draft.data))
    files.write(log.name, INDEX, log.index_size, b"".join(draft.index))


class Request:
    """Something a caller waits for, decided when its batch is gathered."""

    __slots__ = ("future", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def has_to_wait(self, batch: Batch) -> bool:
        return False

    def plan(self, batch: Batch) -> Appended:
        raise NotImplementedError


class AppendRequest(Request):
    __slots__ = ("append", "log")

    def __init__(self, log: StreamLog, append: Append) -> None:
        super().__init__(log.name)
        self.log, self.append = log, append

    def plan(self, batch: Batch) -> Appended:
        draft = batch.draft(self.name)
        if draft.log is not self.log:
            raise NoStream("The stream was deleted meanwhile.")
        return draft.take(self.append)


class CreateRequest(Request):
    __slots__ = ("first", "settings")

    def __init__(self, name: str, settings: Settings, first: Append) -> None:
        super().__init__(name)
        self.settings, self.first = settings, first

    def has_to_wait(self, batch: Batch) -> bool:
        """Until a stream of that name, deleted in this very batch, has left its place on the disk."""
        before = batch.drafts.get(self.name)
        return before is not None and before.deleted

    def plan(self, batch: Batch) -> Appended:
        try:
            there = batch.draft(self.name)
        except NoStream:
            return self._bear(batch)
        if _shape(there.log.settings) != _shape(self.settings) or there.closed != self.first.close:
            raise AlreadyThere("A stream with other settings is already at this address.")
        return Appended(there.tail, there.closed, duplicate=True)

    def _bear(self, batch: Batch) -> Appended:
        settings = replace(self.settings, incarnation=token_hex(6))
        draft = batch.drafts[self.name] = Draft(StreamLog(self.name, settings))
        draft.write_birth(asdict(settings) | {"name": self.name}, self.first)
        return Appended(draft.tail, draft.closed)


class DeleteRequest(Request):
    __slots__ = ("log",)

    def __init__(self, log: StreamLog) -> None:
        super().__init__(log.name)
        self.log = log

    def plan(self, batch: Batch) -> Appended:
        draft = batch.draft(self.name)
        draft.deleted = True
        return Appended(Offset(0, 0), draft.closed)


def _shape(settings: Settings) -> tuple[str, bool]:
    return settings.base_type, settings.enveloped

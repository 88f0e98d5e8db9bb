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
        self._drafts: dict[str, Draft] = {}
        self.done: list[Draft] = []  # in the order of their changes: a stream deleted comes before its successor
        self.answers: list[tuple[asyncio.Future[Appended], Appended]] = []

    def draft(self, name: str) -> Draft:
        draft = self._drafts.get(name)
        if draft is None:
            log = self._find(name)
            if log is None:
                raise NoStream("There is no such stream.")
            draft = self._drafts[name] = Draft(log)
            self.done.append(draft)
        if draft.deleted:
            raise NoStream("There is no such stream.")
        return draft

    def gather(self, requests: list[Request]) -> None:
        for request in requests:
            if request.future.cancelled():
                continue
            try:
                self.answers.append((request.future, request.plan(self)))
            except Refusal as refusal:
                request.future.set_exception(refusal)

    @property
    def touched(self) -> list[Draft]:
        return [draft for draft in self.done if draft.entries or draft.deleted]

    def write(self, journal: Journal, files: StreamFiles) -> None:
        """In the writer's thread. On return all of it is on disk; on an error none of it is."""
        touched, mark = self.touched, journal.size
        journal.append(b"".join(change.pack() for draft in touched for change in changes(draft)))
        try:
            for draft in touched:
                lay(draft, files)
        except OSError:
            journal.cut(mark)
            for draft in touched:
                files.cut(draft.log.name, draft.log.index_size, draft.log.place(draft.log.tail))
            raise

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
    if draft.deleted:
        files.remove(log.name)
        return
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
        draft = batch._drafts[self.name] = Draft(StreamLog(self.name, settings))
        batch.done.append(draft)
        draft.write_birth(asdict(settings) | {"name": self.name}, self.first)
        return Appended(draft.tail, draft.closed)


class DeleteRequest(Request):
    __slots__ = ()

    def plan(self, batch: Batch) -> Appended:
        draft = batch.draft(self.name)
        draft.deleted = True
        return Appended(Offset(0, 0), draft.closed)


def _shape(settings: Settings) -> tuple[str, bool]:
    return settings.base_type, settings.enveloped

"""A batch: everything asked for while the previous one was on its way to disk, committed by one sync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import cached_property

from streams.offsets import START, Offset
from streams.refusals import AlreadyThere, DiskFull, Gone, Malformed, NoStream, Refusal, StorageFailed
from streams.storage.checkpoint import Checkpoint
from streams.storage.disk import FULL
from streams.storage.draft import Draft
from streams.storage.journal import DELETE, PLACE, WRITE, Change, batch
from streams.storage.log import StreamLog
from streams.terms import Append, Appended, Settings

log = logging.getLogger(__name__)
Find = Callable[[str], StreamLog | None]
MOST = 16 << 20  # bytes of one batch, after which the next begins


class Batch:
    """Drafts of the streams it touches, and who waits for which answer."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self.drafts: dict[str, Draft] = {}
        self.replaced: list[Draft] = []  # streams that were deleted and born again in this very batch
        self.answers: list[tuple[asyncio.Future[Appended], Appended]] = []
        self.place: Checkpoint | None = None  # where this batch ends in an order that is kept elsewhere

    def there(self, name: str) -> Draft | None:
        """The stream of that name, also where only its forks still see it."""
        draft = self.drafts.get(name)
        if draft is None:
            log = self._find(name)
            if log is None or log.gone:
                return None
            draft = self.drafts[name] = Draft(log)
        return None if draft.deleted else draft

    def draft(self, name: str, incarnation: str) -> Draft:
        """The stream that was asked for, if it is still that one. Raises a Refusal."""
        draft = self.there(name)
        if draft is None or draft.log.settings.incarnation != incarnation:
            raise NoStream("There is no such stream.")
        if draft.is_soft_deleted:
            raise Gone("The stream was deleted.")
        return draft

    def bear(self, log: StreamLog) -> Draft:
        before = self.drafts.get(log.name)
        if before is not None:
            self.replaced.append(before)
        draft = self.drafts[log.name] = Draft(log)
        return draft

    def remove(self, draft: Draft) -> None:
        """For good, or for everybody but its forks; whom it borrows from goes too, if nobody else held them."""
        if draft.references:
            draft.note(gone=True)
            return
        draft.deleted = True
        fork = draft.log.settings.fork
        source = self.there(fork.source) if fork else None
        if fork and source and source.log.settings.incarnation == fork.incarnation:
            source.note(f=-1)
            if source.is_soft_deleted and not source.references:
                self.remove(source)

    def gather(self, requests: list[Request], *, apart: bool = False) -> list[Request]:
        """Decide each of them; those that would make the batch too large come back.

        With `apart` deletions, which make room, share no batch with anything else.
        """
        size = 0
        for number, request in enumerate(requests):
            if size > MOST or (apart and request.makes_room != requests[0].makes_room):
                return requests[number:]
            if request.future.cancelled():
                continue
            size += request.size
            self.place = request.place or self.place
            try:
                self.answers.append((request.future, request.plan(self)))
            except Refusal as refusal:
                request.future.set_exception(refusal)
        return []

    @cached_property
    def touched(self) -> list[Draft]:
        """Once all are gathered: each that changes; one that was replaced before the one that replaces it."""
        return [draft for draft in [*self.replaced, *self.drafts.values()] if draft.is_changed]

    @cached_property
    def makes_room(self) -> bool:
        """Whether it is nothing but that streams go."""
        return any(draft.deleted for draft in self.touched) and not any(any(draft.data) for draft in self.touched)

    def pack(self) -> bytes:
        for draft in self.touched:
            draft.seal()
        made = [change for draft in self.touched for change in changes(draft)]
        return batch([*made, Change(PLACE, "", self.place.pack())] if self.place else made)

    def answer(self) -> None:
        for future, answer in self.answers:
            if not future.done():
                future.set_result(answer)

    def refuse(self, error: OSError) -> None:
        """Nobody gets what was asked for, because the disk said that."""
        log.error("A batch of appends could not be written: %s", error)
        for future, _ in self.answers:
            if future.done():
                continue
            if error.errno in FULL:
                future.set_exception(DiskFull("The disk is full; nothing was added. Reading goes on."))
            else:
                future.set_exception(StorageFailed("The disk failed; nothing was acknowledged."))


def changes(draft: Draft) -> Iterable[Change]:
    name = draft.log.name
    if draft.deleted:
        if draft.log.number:  # one that was born in this batch leaves no trace
            yield Change(DELETE, name)
    elif draft.entries:
        yield Change(WRITE, name, b"".join(draft.packed), b"".join(draft.data))


class Request:
    """Something a caller waits for, decided when its batch is gathered. Plain data, but for the waiting."""

    __slots__ = ("future", "held", "is_ordered", "name", "now", "place")
    size = 100  # bytes, roughly
    makes_room = False

    def __init__(self, name: str, now: float) -> None:
        self.name, self.now = name, now
        self.is_ordered = False  # elsewhere, for several copies of the store, which have to decide alike
        self.place: Checkpoint | None = None  # in that order, when this is the last before it
        self.held: list[StreamLog] = []  # in memory, until it is decided
        self.future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def plan(self, batch: Batch) -> Appended:
        raise NotImplementedError


class AppendRequest(Request):
    __slots__ = ("append", "incarnation")

    def __init__(self, name: str, incarnation: str, append: Append, now: float) -> None:
        super().__init__(name, now)
        self.incarnation, self.append = incarnation, append

    @property
    def size(self) -> int:  # type: ignore[override]  # of this one it is known
        return 100 + sum(map(len, self.append.messages))

    def plan(self, batch: Batch) -> Appended:
        return batch.draft(self.name, self.incarnation).take(self.append, self.now)


class CreateRequest(Request):
    """`settings` have the incarnation that the stream gets if it is born now."""

    __slots__ = ("first", "settings")

    def __init__(self, name: str, settings: Settings, first: Append, now: float) -> None:
        super().__init__(name, now)
        self.settings, self.first = settings, first

    @property
    def size(self) -> int:  # type: ignore[override]  # of this one it is known
        return 300 + sum(map(len, self.first.messages))

    def plan(self, batch: Batch) -> Appended:
        there = batch.there(self.name)
        if there and not there.is_soft_deleted and there.has_expired(self.now, self.is_ordered):
            batch.remove(there)
            there = batch.there(self.name)
        if there is None:
            return self._bear(batch)
        if there.is_soft_deleted:
            raise AlreadyThere("The stream was deleted, and forks still borrow from it; its address is taken.")
        if _shape(there.log.settings) != _shape(self.settings) or there.closed != self.first.close:
            raise AlreadyThere("A stream with other settings is already at this address.")
        return Appended(there.tail, there.closed, duplicate=True)

    def _bear(self, batch: Batch) -> Appended:
        fork = self.settings.fork
        if fork:
            source = batch.there(fork.source)
            if source is None or source.log.settings.incarnation != fork.incarnation:
                raise NoStream("The stream to fork from is gone.")
            if source.is_soft_deleted:
                raise AlreadyThere("The stream to fork from was deleted.")
            if fork.at < source.first:
                raise Malformed("The stream to fork from no longer keeps that offset.")
            source.note(f=1)
        log = StreamLog(self.name, self.settings)
        log.touched = self.now
        return batch.bear(log).bear(self.first, self.now)


class DeleteRequest(Request):
    """Of the stream of that incarnation; if `expired`, only where its time is over."""

    __slots__ = ("expired", "incarnation")
    makes_room = True

    def __init__(self, name: str, incarnation: str, now: float, expired: bool = False) -> None:
        super().__init__(name, now)
        self.incarnation, self.expired = incarnation, expired

    def plan(self, batch: Batch) -> Appended:
        draft = batch.draft(self.name, self.incarnation)
        if not self.expired or draft.has_expired(self.now, self.is_ordered):
            batch.remove(draft)
        return Appended(START, draft.closed)


class NoteRequest(Request):
    """That something became true of a stream: `t`, when it was touched, or `r`, from where on it is kept."""

    __slots__ = ("incarnation", "state")

    def __init__(self, name: str, incarnation: str, now: float, state: dict[str, float | Offset]) -> None:
        super().__init__(name, now)
        self.incarnation, self.state = incarnation, state

    def plan(self, batch: Batch) -> Appended:
        draft = batch.draft(self.name, self.incarnation)
        if "r" not in self.state or not draft.references:  # what forks borrow is kept
            draft.note(**self.state)
        return Appended(draft.tail, draft.closed)


def _shape(settings: Settings) -> tuple[object, ...]:
    fork = settings.fork
    origin = (fork.source, fork.at, fork.sub) if fork else None
    return settings.base_type, settings.enveloped, settings.ttl, settings.expires_at, settings.retain, origin

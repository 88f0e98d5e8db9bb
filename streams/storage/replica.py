"""A store that is one of several copies: every request is put into one order, and each copy decides them in that order.

Deciding depends on nothing but what was decided before and on the request itself, so all copies hold the same, byte by
byte (only the entries of their indexes differ, which follow the batches of each). Reading is local. Whoever asked hears
what came of it when it has been decided here: then a majority of the cluster has it, and so has this disk. What is on
disk and how far this copy has come are written in one batch, so after a crash it goes on with the next request, and
decides none twice.

Without a majority appends are refused after a while (503) and reading goes on. Such a request may still be decided
later, once, as with every answer that was lost: a producer that repeats it with its numbers does not have it twice. The
clocks of all machines have to be about right: a stream's life is measured by the clock of whoever asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from secrets import token_hex
from typing import Any

import orjson

from streams.offsets import Offset
from streams.refusals import DiskFull, StorageFailed
from streams.storage.batch import AppendRequest, DeleteRequest, NoteRequest, Request
from streams.storage.checkpoint import Checkpoint
from streams.storage.committing import JOURNAL_SIZE
from streams.storage.jetstream import FAILURES, Delivery, Lost, Misplaced, OrderedLog, Unconfirmed
from streams.storage.log import StreamLog
from streams.storage.ordering import Proposal, Unreadable, found, unpack
from streams.storage.proposing import PATIENCE, Proposals
from streams.storage.store import FolderRefused, Store
from streams.terms import Append, Appended

log = logging.getLogger(__name__)
AGAIN = 0.2  # seconds
FULL_AGAIN = 1.0  # seconds until a disk that refused is tried again
BEHIND = 1.0  # seconds that a reader waits for what was decided elsewhere
MOST_WRITERS = 32  # whose numbers are remembered


class CannotFollow(FolderRefused):
    """This folder does not belong to this log, and nothing heals that."""


class Replica(Store):
    """The copy of this process, in a folder of its own. Used from one event loop, which has to run already."""

    is_shared = True

    def __init__(
        self,
        folder: str | Path,
        ordered: OrderedLog,
        journal_size: int = JOURNAL_SIZE,
        patience: float = PATIENCE,
        behind: float = BEHIND,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(folder, journal_size, clock=clock)
        told = orjson.loads(self._commits.place.told or b"{}")
        self.sequence = self._commits.place.sequence  # of the last proposal that was decided here
        self._identity: str | None = told.get("identity")
        self._founder: str | None = told.get("founder")
        self._writers: dict[str, int] = dict(told.get("writers", []))
        self._ordered = ordered
        self._proposals, self._behind = Proposals(ordered, patience), behind
        self._touching: set[str] = set()
        self._moved = asyncio.Event()
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(self._ended)

    @property
    def trouble(self) -> str | None:
        """Why nothing may be added at the moment; reading goes on with what is here."""
        return self._proposals.refusal[1] if self._proposals.refusal else None

    async def ready(self, patience: float = 30.0) -> None:
        until = time.monotonic() + patience
        while not self.trouble and time.monotonic() < until and not await self.catch_up():
            await asyncio.wait([self._following], timeout=AGAIN)
        if self._following.done() and self.trouble:
            raise CannotFollow(self.trouble)

    async def find(self, name: str) -> StreamLog | None:
        """Also one that was made elsewhere a moment ago."""
        found = await super().find(name)
        if found is None and await self._load(name) is None and await self.catch_up():
            found = await super().find(name)
        return found

    async def append(self, stream: StreamLog, append: Append) -> Appended:
        return await self._ask(AppendRequest(stream.name, stream.settings.incarnation, append, self._clock()))

    async def holds(self, stream: StreamLog, offset: Offset) -> bool:
        if offset > stream.tail:
            await self.catch_up()  # it was given out elsewhere, a moment ago
        return await super().holds(stream, offset)

    def touch(self, stream: StreamLog) -> None:
        """All copies have to know it, but not of every read."""
        ttl, now = stream.settings.ttl, self._clock()
        if ttl is not None and now - stream.touch_kept >= ttl / 10 and stream.name not in self._touching:
            self._touching.add(stream.name)
            task = asyncio.create_task(self._tell_touched(stream, now))
            self._notes.add(task)
            task.add_done_callback(self._noted)

    async def catch_up(self) -> bool:
        """Wait, at most `behind` seconds, until what was ordered before this call is decided here; whether it was."""
        if not self._ordered.is_connected or self._following.done():
            return False
        try:
            async with asyncio.timeout(self._behind):
                last = (await self._ordered.state()).last
                while self._identity is None or self.sequence < last:
                    self._moved.clear()
                    await self._moved.wait()
        except (TimeoutError, Unconfirmed):
            return False
        return True

    async def close(self) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])
        await self._proposals.close()
        await self._ordered.close()
        await super().close()

    def _is_over(self, stream: StreamLog) -> bool:
        return stream.has_expired_everywhere(self._clock(), stream.touch_kept)

    async def _ask(self, request: Request) -> Appended:
        # What is over is not there, whether or not the others have heard of it yet.
        is_clearing = isinstance(request, DeleteRequest) and request.expired
        return await self._proposals.ask(request, self._behind if is_clearing else None)

    async def _tell_touched(self, stream: StreamLog, now: float) -> Appended:
        try:
            return await self._ask(NoteRequest(stream.name, stream.settings.incarnation, now, {"t": now}))
        finally:
            self._touching.discard(stream.name)

    async def _follow(self) -> None:
        await self._ordered.connect()
        while True:
            try:
                await self._find_place()
                async with aclosing(self._ordered.follow(self.sequence)) as deliveries:
                    async for some in deliveries:
                        await self._decide(some)
            except (Lost, Unconfirmed, *FAILURES) as error:
                log.warning("The order of requests is read on from %d: %s", self.sequence, error)
                await asyncio.sleep(AGAIN)
            except (Misplaced, Unreadable) as error:
                self._proposals.refusal = StorageFailed, f"This copy cannot go on; nothing was added. {error}"
                log.critical("%s", self._proposals.refusal[1])
                return

    async def _find_place(self) -> None:
        """That the log goes on where this copy is. Raises `Misplaced` where it never will."""
        state = await self._ordered.state()
        if self._identity is None and await self.names():
            if state.last and not self._founder:
                raise Misplaced("Its folder has streams that are not from the log; begin with an empty one, or a copy.")
            if not state.last:
                await self._found()
        if self._identity not in (None, state.identity):
            raise Misplaced("The log in JetStream is another one than this folder was filled from.")
        if state.first > self.sequence + 1:
            raise Misplaced(f"The log begins at {state.first}, so begin with a copy of another's folder.")
        if state.last < self.sequence:
            raise Unconfirmed(f"the log ends at {state.last}, before what was decided here")
        self._identity = state.identity
        self._moved.set()

    async def _found(self) -> None:
        """The log begins with what one machine had before there were several."""
        self._founder = self._founder or token_hex(8)
        self._keep(Checkpoint(0, orjson.dumps({"founder": self._founder})))
        await self._ordered.publish(found(self._founder), "founding", is_first=True)

    def _keep(self, place: Checkpoint) -> None:
        place.write(self.folder / "journal")
        self._commits.place = place

    async def _decide(self, deliveries: list[Delivery]) -> None:
        """All of them, in one batch. Where the disk refuses, again and again: nothing may be left out."""
        while not await self._decide_all(deliveries):
            if self._proposals.refusal is None:
                log.error("What others have could not be written here; that is tried again, and appends are refused.")
            self._proposals.refusal = DiskFull, "This disk takes nothing more; nothing was added. Reading goes on."
            await asyncio.sleep(FULL_AGAIN)
        self._proposals.refusal = None
        self._moved.set()

    async def _decide_all(self, deliveries: list[Delivery]) -> bool:
        writers = dict(self._writers)
        proposals, requests = [], list[Request]()
        for delivery in deliveries:
            proposal = unpack(delivery.payload)
            if not _is_next(writers, proposal):
                continue
            told = {"identity": self._identity, "writers": list(writers.items())}
            place = Checkpoint(delivery.sequence, orjson.dumps(told))
            if proposal.is_founding:
                self._begin(proposal, place)
                continue
            proposal.requests[-1].place = place
            proposals.append(proposal)
            requests += proposal.requests
        if requests and not await self._commit(requests):
            return False
        self._writers, self.sequence = writers, deliveries[-1].sequence
        for proposal in proposals:
            if proposal.writer == self._proposals.writer:
                self._proposals.decided(proposal.number, [request.future for request in proposal.requests])
        return True

    def _begin(self, proposal: Proposal, place: Checkpoint) -> None:
        if proposal.writer != self._founder:
            raise Misplaced(
                "The log began with streams that this folder does not have; begin with a copy of another's."
            )
        self._keep(place)

    async def _commit(self, requests: list[Request]) -> bool:
        for request in requests:
            request.is_ordered = True
            try:
                await self._bring(request)
            except StorageFailed as error:
                log.error("A stream is missing here which others have; empty this folder to fill it anew: %s", error)
        self._commits.take(*requests)
        await asyncio.wait([request.future for request in requests])
        return not [request for request in requests if _has_failed(request.future)]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._proposals.refusal = StorageFailed, "This copy has failed; nothing was added."
            log.critical("The order of requests is no longer followed.", exc_info=error)


def _is_next(writers: dict[str, int], proposal: Proposal) -> bool:
    """One that comes after a later one of its writer is left out everywhere: it is a second copy, or is sent anew."""
    last = writers.pop(proposal.writer, 0)
    writers[proposal.writer] = max(last, proposal.number)
    if len(writers) > MOST_WRITERS:
        del writers[next(iter(writers))]
    return proposal.number > last


def _has_failed(future: asyncio.Future[Appended]) -> bool:
    return future.cancelled() or isinstance(future.exception(), (DiskFull, StorageFailed))

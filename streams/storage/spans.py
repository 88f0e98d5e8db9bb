"""Reading a stream that lies in several places: borrowed from another, in segments, in memory."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import NamedTuple

from streams.offsets import Offset
from streams.refusals import Dropped, NoStream
from streams.storage.files import DATA, INDEX, StreamFiles
from streams.storage.frames import entries, place
from streams.storage.log import StreamLog

ROOM = 64 << 20  # bytes of positions in memory
SMALL = 1 << 16  # bytes: as much is read faster than handed to a thread
Source = Callable[[StreamLog], Awaitable[StreamLog]]


class Span(NamedTuple):
    """One place, of which what lies before `stop` counts; where `segment` is None it is memory."""

    log: StreamLog
    segment: int | None
    base: Offset
    stop: Offset


class Positions:
    """Where the messages of segments end, in bytes of their stream, for those that were read last."""

    def __init__(self, files: StreamFiles, room: int = ROOM) -> None:
        self._files, self._room = files, room
        self._known: OrderedDict[tuple[str, int, int], array[int]] = OrderedDict()
        self._lock = Lock()

    async def of(self, log: StreamLog, segment: int) -> array[int]:
        is_last = segment == len(log.segments) - 1
        size = log.index_size if is_last else self._files.size(log.name, INDEX, segment)
        key = log.settings.incarnation, segment, size
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        read = self._read if size < SMALL else None
        found = read(log.name, segment, size) if read else await asyncio.to_thread(self._read, log.name, segment, size)
        self._keep(key, found)
        return found

    def _keep(self, key: tuple[str, int, int], found: array[int]) -> None:
        with self._lock:
            if key not in self._known:
                self._known[key] = found
                self._room -= len(found) * 8 + 200
            while self._room < 0 and len(self._known) > 1:
                self._room += len(self._known.popitem(last=False)[1]) * 8 + 200

    def _read(self, name: str, segment: int, size: int) -> array[int]:
        ends = array("Q")
        for _, entry in entries(self._files.read(name, INDEX, segment, 0, size)):
            ends.extend(entry.ends())
        return ends


class Spans:
    """Reads pages out of wherever they lie. Used from the store's event loop."""

    def __init__(self, files: StreamFiles, source: Source) -> None:
        self._files, self._source = files, source
        self._positions = Positions(files)

    async def holds(self, log: StreamLog, offset: Offset) -> bool:
        """Whether this place was ever given out. Raises `Dropped` for one before what is kept."""
        if offset == log.tail:
            return True
        if offset > log.tail:
            return False
        span = await self._span(log, offset.messages)
        return await self._at(span, offset.messages) == offset

    async def at(self, log: StreamLog, messages: int) -> Offset:
        """The place behind so many messages, of which there are as many."""
        if messages == log.tail.messages:
            return log.tail
        return await self._at(await self._span(log, messages), messages)

    async def forward(self, log: StreamLog, start: Offset, size: int, most: int | None) -> tuple[bytes, Offset]:
        """Data from `start` on and where they end: at least one message, unless there is none."""
        parts: list[bytes] = []
        at, tail = start, log.tail
        while at < tail:
            span = await self._span(log, at.messages)
            ends = await self._ends(span)
            stop = bisect_right(ends, start.bytes + size, at.messages - span.base.messages) + span.base.messages
            if most is not None:
                stop = min(stop, start.messages + most)
            stop = min(stop, span.stop.messages)
            if stop <= at.messages:
                if parts:
                    break
                stop = at.messages + 1
            end = _place(span, ends, stop)
            parts.append(await self._read(span, at, end))
            at = end
            if at != span.stop:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts), at

    async def backward(self, log: StreamLog, stop: Offset, size: int, most: int) -> Offset:
        """Where a page begins that ends at `stop`: with at least one message before it, unless there is none."""
        begin = await self.begin(log)
        floor, least = stop.bytes - size, max(begin.messages, stop.messages - most)
        at = stop
        while at.messages > least:
            span = await self._span(log, at.messages - 1)
            ends = await self._ends(span)
            within = 0 if span.base.bytes >= floor else bisect_left(ends, floor) + 1
            messages = min(max(span.base.messages + within, least), stop.messages - 1)
            if messages >= at.messages:
                break
            at = _place(span, ends, messages)
            if messages != span.base.messages:
                break
        return at

    async def begin(self, log: StreamLog) -> Offset:
        """The first place that is kept."""
        while log.settings.fork and log.first < log.settings.fork.at:
            first = log.first
            log = await self._source(log)
            if log.first < first:
                return first
        return log.first

    async def between(self, log: StreamLog, start: Offset, stop: Offset) -> bytes:
        """Everything between two places, which must be given out."""
        if start == stop:
            return b""
        data, _ = await self.forward(log, start, stop.bytes - start.bytes, stop.messages - start.messages)
        return data

    async def _span(self, log: StreamLog, messages: int) -> Span:
        """Where the message lies before which there are so many."""
        limit = log.tail
        if messages < log.first.messages:
            raise Dropped("What lay there is no longer kept.", Stream_First_Offset=str(log.first))
        while log.settings.fork and messages < log.settings.fork.messages:
            limit = min(limit, log.settings.fork.at)
            log = await self._source(log)
            if messages < log.first.messages:
                raise Dropped("What lay there is no longer kept.", Stream_First_Offset=str(log.first))
        if messages >= log.recent.start.messages:
            return Span(log, None, log.recent.start, limit)
        segment = bisect_right(log.segments, messages, key=lambda start: start.messages) - 1
        is_last = segment == len(log.segments) - 1
        stop = log.recent.start if is_last else log.segments[segment + 1]
        return Span(log, segment, log.segments[segment], min(limit, stop))

    async def _at(self, span: Span, messages: int) -> Offset:
        return _place(span, await self._ends(span), messages)

    async def _ends(self, span: Span) -> array[int]:
        if span.segment is None:
            return span.log.recent.ends
        try:
            return await self._positions.of(span.log, span.segment)
        except FileNotFoundError:
            raise _went(span) from None

    async def _read(self, span: Span, start: Offset, end: Offset) -> bytes:
        log = span.log
        if span.segment is None:
            return log.recent.read(start, end)
        at = place(start, span.base, log.is_json)
        length = place(end, span.base, log.is_json) - at
        where = log.name, DATA, span.segment, at, length
        try:
            return self._files.read(*where) if length < SMALL else await asyncio.to_thread(self._files.read, *where)
        except FileNotFoundError:
            raise _went(span) from None


def _place(span: Span, ends: array[int], messages: int) -> Offset:
    here = messages - span.base.messages
    return Offset(messages, ends[here - 1]) if here else span.base


def _went(span: Span) -> NoStream | Dropped:
    if span.log.gone:
        return NoStream("There is no such stream.")
    return Dropped("What lay there is no longer kept.", Stream_First_Offset=str(span.log.first))

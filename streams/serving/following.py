"""Following the tail of a stream: waiting, being shown out, and the events an SSE client reads."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode

import orjson

from streams.offsets import Offset
from streams.storage.log import StreamLog
from streams.storage.store import Page
from streams.wire import Caller, Door, Request

CHECK_EVERY = 0.5
_LINES = re.compile(rb"\r\n|\n|\r")


class Follower:
    """One caller at the tail of one stream; the door is asked again while it stays.

    An event costs each follower one turn of its task: the alarm, which rings at least once a second, stays set over
    many of them.
    """

    def __init__(self, stream: StreamLog, request: Request, caller: Caller, door: Door) -> None:
        self._stream, self._caller, self._door, self._house = stream, caller, door, request.house
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self.is_welcome = True
        self._check_at = self._loop.time() + CHECK_EVERY
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._watch = asyncio.create_task(self._watch_for_leaving(request))

    def end(self) -> None:
        self._ended = True
        self._ring()

    def leave(self) -> None:
        self._watch.cancel()
        if self._alarm:
            self._alarm.cancel()

    async def wait_beyond(self, offset: Offset, seconds: float) -> bool:
        """Until the stream has more, is closed, or the time is over; False when the caller must go or has gone."""
        deadline = self._loop.time() + seconds
        while not (self._ended or self._stream.gone or self._stream.is_soft_deleted) and await self._may_stay():
            if self._stream.tail != offset or self._stream.closed or self._loop.time() >= deadline:
                return True
            await self._wait(min(deadline, self._check_at))
        return False

    async def _may_stay(self) -> bool:
        if self._loop.time() >= self._check_at:
            self.is_welcome = await self._door.still(self._caller, self._house)
            self._check_at = self._loop.time() + CHECK_EVERY
        return self.is_welcome

    async def _wait(self, until: float) -> None:
        """For the stream to wake it, or until then, or a little less."""
        if self._alarm is None or self._alarm.when() > until:
            if self._alarm:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(until, self._ring)
        self._waiter = waiter = self._loop.create_future()
        self._stream.waiters.add(waiter)
        try:
            await waiter
        finally:
            self._stream.waiters.discard(waiter)
            self._waiter = None

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def _watch_for_leaving(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.end()


def event_data(payload: bytes, is_text: bool) -> bytes:
    """One data event. Every kind of line end splits, or a payload could forge an event of its own."""
    if not is_text:
        return b"event: data\ndata:" + b64encode(payload) + b"\n\n"
    text = payload.decode("utf-8", "replace").encode()
    return b"event: data\n" + b"".join(b"data:" + line + b"\n" for line in _LINES.split(text)) + b"\n"


def event_control(page: Page, cursor: str | None) -> bytes:
    control: dict[str, str | bool] = {"streamNextOffset": str(page.end)}
    if cursor is not None:
        control["streamCursor"] = cursor
    if page.up_to_date:
        control["upToDate"] = True
    if page.closed:
        control["streamClosed"] = True
    return b"event: control\ndata:" + orjson.dumps(control) + b"\n\n"

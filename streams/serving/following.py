"""Following the tail of a stream: waiting, being shown out, and the events an SSE client reads."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import MutableMapping
from typing import Any

import orjson

from streams.offsets import Offset
from streams.storage.log import StreamLog
from streams.storage.store import Page, Store
from streams.wire import Caller, Door, Request, Send

CHECK_EVERY = 0.5
TAKING = 60.0  # seconds in which a client takes something of what is sent to it
_LINES = re.compile(rb"\r\n|\n|\r")


class Follower:
    """One caller at the tail of one stream; the door is asked again while it stays.

    An event costs each follower one turn of its task: the alarm, which rings at least once a second, stays set over
    many of them. A follower who takes nothing is asked about all the same, and is cut off when it has to go.
    """

    def __init__(self, store: Store, stream: StreamLog, request: Request, caller: Caller, door: Door) -> None:
        self._store = store
        self._stream, self._caller, self._door, self._house = stream, caller, door, request.house
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self.is_welcome = True
        self._check_at = self._loop.time() + CHECK_EVERY
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self.until = float("inf")  # on the loop's clock: when it has to go in any case
        self._sends_since: float | None = None
        self._is_cut = False
        self._task = asyncio.current_task()
        self._asking: asyncio.Task[None] | None = None
        self._watch = asyncio.create_task(self._watch_for_leaving(request))

    def end(self) -> None:
        self._ended = True
        self._ring()

    def leave(self) -> None:
        self._watch.cancel()
        if self._asking:
            self._asking.cancel()
        if self._alarm:
            self._alarm.cancel()

    async def wait_beyond(self, offset: Offset, seconds: float) -> bool:
        """Until the stream has more, is closed, or the time is over; False when the caller must go or has gone."""
        deadline = self._loop.time() + seconds
        while not self._is_over and await self._may_stay():
            if self._stream.tail != offset or self._stream.closed or self._loop.time() >= deadline:
                self._store.touch(self._stream)
                return True
            await self._wait(min(deadline, self._check_at))
        return False

    async def pour(self, send: Send, message: MutableMapping[str, Any]) -> bool:
        """Send something; False when the follower had to go before it took what was sent to it earlier."""
        self._sends_since = self._loop.time()
        if self._alarm is None:
            self._alarm = self._loop.call_at(self._check_at, self._ring)
        try:
            await send(message)
        except asyncio.CancelledError:
            if not self._is_cut or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._sends_since = None
        return not self._is_cut

    @property
    def _is_over(self) -> bool:
        return self._ended or self._stream.gone or self._stream.is_soft_deleted

    async def _may_stay(self) -> bool:
        if self._loop.time() >= self._check_at:
            if self._sends_since is None:
                self._store.touch(self._stream)  # who waits reads it
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
        elif self._sends_since is not None and (self._asking is None or self._asking.done()):
            self._asking = self._loop.create_task(self._cut_if_due())

    async def _cut_if_due(self) -> None:
        """Of a send that does not end: nothing else would look up from it."""
        may_stay = not self._is_over and await self._may_stay()
        since, now = self._sends_since, self._loop.time()
        if since is None or self._task is None:
            return
        if not may_stay or self._is_over or now >= min(self.until, since + TAKING):
            self._is_cut = True
            self._task.cancel()
        elif self._alarm is None:
            self._alarm = self._loop.call_at(max(self._check_at, now + CHECK_EVERY / 10), self._ring)

    async def _watch_for_leaving(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.end()


def event_data(payload: bytes, is_text: bool) -> bytes:
    """One data event. Every kind of line end splits, or a payload could forge an event of its own.

    Events are text, and each stands for itself: a character that was cut in two between two appends, or two pages of
    1 MB, is shown as U+FFFD on either side of the cut. A page read without SSE has the bytes as they are.
    """
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

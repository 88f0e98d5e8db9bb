"""Following the tail of a stream: waiting, being shown out, and the events an SSE client reads."""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64encode

import orjson

from streams.log import StreamLog
from streams.offsets import Offset
from streams.store import Page
from streams.wire import Caller, Door, Request

CHECK_EVERY = 1.0
_LINES = re.compile(rb"\r\n|\n|\r")


class Follower:
    """One caller at the tail of one stream; the door is asked again while it stays."""

    def __init__(self, stream: StreamLog, request: Request, caller: Caller, door: Door) -> None:
        self._stream, self._caller, self._door, self._house = stream, caller, door, request.house
        self._ended = False
        self.is_welcome = True
        self._checked = time.monotonic()
        self._waiter: asyncio.Future[None] | None = None
        self._watch = asyncio.create_task(self._watch_for_leaving(request))

    def end(self) -> None:
        self._ended = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def leave(self) -> None:
        self._watch.cancel()

    async def wait_beyond(self, offset: Offset, seconds: float) -> bool:
        """Until the stream has more, is closed, or the time is over; False when the caller must go or has gone."""
        deadline = time.monotonic() + seconds
        while not self._ended and not self._stream.gone and await self._may_stay():
            left = deadline - time.monotonic()
            if self._stream.tail != offset or self._stream.closed or left <= 0:
                return True
            await self._wait(min(left, CHECK_EVERY))
        return False

    async def _may_stay(self) -> bool:
        if time.monotonic() - self._checked >= CHECK_EVERY:
            self.is_welcome = await self._door.still(self._caller, self._house)
            self._checked = time.monotonic()
        return self.is_welcome

    async def _wait(self, seconds: float) -> None:
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        self._stream.waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._stream.waiters.discard(waiter)
            self._waiter = None

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

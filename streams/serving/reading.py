"""Requests that read a stream: a page forward or backward, or following its tail."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from streams.offsets import Offset
from streams.raw import is_raw
from streams.refusals import Gone, Malformed, Refusal
from streams.serving.following import Follower, event_control, event_data
from streams.storage.log import StreamLog
from streams.storage.store import Page, Store
from streams.terms import Settings
from streams.wire import ALWAYS, Caller, Door, Request, Send, answer

_EPOCH = 1728432000  # 2024-10-09, from where cursors count
_INTERVAL = 20
MOST_MESSAGES = 10_000
SHARED = 1 << 16  # bytes of events that wait, encoded, for others to want them too
_FRESH, _STALE = 60, 300  # seconds for which a page that lies in the past may be kept, and then shown once more


class Reading:
    """Finds the page that is asked for, waiting for it if the caller follows."""

    def __init__(self, store: Store, door: Door, *, long_poll: float, sse: float) -> None:
        self._store, self._door = store, door
        self._long_poll, self._sse = long_poll, sse
        self._followers: dict[StreamLog, set[Follower]] = {}
        self._frames: dict[StreamLog, tuple[object, Encoded]] = {}  # what was last encoded for those who follow it
        self._is_ending = False

    def hang_up(self) -> None:
        """End whoever follows now; who comes later is answered, and not kept."""
        self._is_ending = True
        for followers in self._followers.values():
            for follower in followers:
                follower.end()

    @contextmanager
    def _follows(self, request: Request, caller: Caller, stream: StreamLog) -> Iterator[Follower]:
        follower = Follower(self._store, stream, request, caller, self._door)
        followers = self._followers.setdefault(stream, set())
        followers.add(follower)
        if self._is_ending:
            follower.end()
        try:
            yield follower
        finally:
            follower.leave()
            followers.discard(follower)
            if not followers:
                del self._followers[stream]
                self._frames.pop(stream, None)

    async def answer(self, request: Request, caller: Caller, send: Send) -> None:
        stream = await self._store.get(request.name)
        if request.method == "HEAD":
            await self._head(stream, send)
            return
        self._store.touch(stream)
        if request.one("before") is not None:
            await self._before(request, stream, send)
            return
        given, live = request.one("offset"), request.one("live")
        start = await self._resolve(stream, "-1" if given is None else given)
        if live is None:
            await self._page(request, caller, stream, start, send, from_now=given == "now")
        elif given is None:
            raise Malformed("Following a stream begins at an offset.")
        elif live in ("long-poll", "sse"):
            follow = self._poll if live == "long-poll" else self._events
            with self._door.tails.one_more(caller):
                await follow(request, caller, stream, start, send)
        else:
            raise Malformed("The parameter live is long-poll or sse.")

    async def _resolve(self, stream: StreamLog, text: str) -> Offset:
        if text == "-1":
            return await self._store.begin(stream)
        if text == "now":
            return stream.tail
        offset = Offset.parse(text)
        if offset is None:
            raise Malformed("An offset is -1, now, or what this server gave out.")
        return offset

    async def _events_from(self, stream: StreamLog, at: Offset, mark: str) -> Encoded:
        """Read and encoded once for all who are at the same place, which at the tail everybody is."""
        key = at, stream.tail, stream.closed, mark
        shared = self._frames.get(stream)
        if shared and shared[0] == key:
            return shared[1]
        page = await self._store.read(stream, at)
        parts = []
        if page.start != page.end:
            parts.append(event_data(body(stream, page), _is_text(stream)))
        parts.append(event_control(page, None if page.closed else mark))
        made = Encoded(page.end, page.closed, b"".join(parts))
        if page.up_to_date and len(made.encoded) < SHARED:
            self._frames[stream] = key, made
        return made

    async def _head(self, stream: StreamLog, send: Send) -> None:
        headers = {
            "Content-Type": stream.settings.content_type,
            "Stream-Next-Offset": str(stream.tail),
            "Cache-Control": "no-store",
        }
        if stream.closed:
            headers["Stream-Closed"] = "true"
        if stream.settings.enveloped:
            headers["Arbe-Envelope"] = "true"
        headers |= lifetime(stream.settings)
        lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": [*lines, *ALWAYS]})
        await send({"type": "http.response.body", "body": b""})

    async def _before(self, request: Request, stream: StreamLog, send: Send) -> None:
        if not stream.settings.is_json:
            raise Malformed("Only streams of JSON messages can be read backwards.")
        stop = await self._resolve(stream, request.one("before") or "")
        page = await self._store.before(stream, stop, request.number("limit", MOST_MESSAGES) or 100)
        headers = page_headers(stream, page) | {"Cache-Control": "no-store", "Arbe-Backwards": "true"}
        if page.start != await self._store.begin(stream):
            headers["Stream-Prev-Offset"] = str(page.start)
        await answer(send, 200, headers, b"[" + page.data + b"]")

    async def _page(
        self, request: Request, caller: Caller, stream: StreamLog, start: Offset, send: Send, *, from_now: bool
    ) -> None:
        page = await self._store.read(stream, start, request.number("limit", MOST_MESSAGES))
        headers = page_headers(stream, page)
        if from_now:
            headers["Cache-Control"] = "no-store"
        else:
            headers |= {"ETag": _tag(stream, page), "Cache-Control": _caching(page, caller)}
        await _show(request, send, headers, body(stream, page))

    async def _poll(self, request: Request, caller: Caller, stream: StreamLog, start: Offset, send: Send) -> None:
        with self._follows(request, caller, stream) as follower:
            await follower.wait_beyond(start, self._long_poll)
        if not follower.is_welcome:
            raise Refusal(403, "revoked", "You may no longer follow this stream.")
        if stream.is_soft_deleted:
            raise Gone("The stream was deleted.")
        page = await self._store.read(stream, start, request.number("limit", MOST_MESSAGES))
        headers = page_headers(stream, page)
        if not page.closed:
            headers["Stream-Cursor"] = cursor(request)
        if self._is_ending:
            headers["Connection"] = "close"  # the next server is at the end of another one
        if page.start == page.end:
            del headers["Content-Type"]
            await answer(send, 204, headers | {"Cache-Control": "no-store"})
            return
        headers |= {"ETag": _tag(stream, page), "Cache-Control": _caching(page, caller)}
        await _show(request, send, headers, body(stream, page))

    async def _events(self, request: Request, caller: Caller, stream: StreamLog, start: Offset, send: Send) -> None:
        await self._store.require(stream, start)  # while no can still be said
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        if not _is_text(stream):
            headers.append((b"stream-sse-data-encoding", b"base64"))
        if self._is_ending:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, *ALWAYS]})
        with self._follows(request, caller, stream) as follower:
            try:
                is_over = await self._pour(request, stream, start, send, follower)
            except Refusal:
                # It was deleted, or cannot be read: the end of the answer says so, and who asks again is told why.
                is_over = True
        if is_over:  # else the client has not taken what was sent, and the end would wait for that
            await send({"type": "http.response.body", "body": b""})

    async def _pour(self, request: Request, stream: StreamLog, at: Offset, send: Send, follower: Follower) -> bool:
        """Everything from `at` on, as it comes, until the stream ends, the caller leaves or the minute is over.

        False when the follower had to be cut off.
        """
        now = asyncio.get_running_loop().time
        follower.until = now() + self._sse
        while True:
            self._store.touch(stream)
            page = await self._events_from(stream, at, cursor(request))
            if not await follower.pour(send, {"type": "http.response.body", "body": page.encoded, "more_body": True}):
                return False
            at, left = page.end, follower.until - now()
            if page.closed or left <= 0 or not await follower.wait_beyond(at, min(left, self._long_poll)):
                return True


class Encoded(NamedTuple):
    """A page as those read it who follow by SSE."""

    end: Offset
    closed: bool
    encoded: bytes


async def _show(request: Request, send: Send, headers: dict[str, str], body: bytes) -> None:
    """A page, or that it is the one the caller has."""
    if "ETag" in headers and _matches(request, headers["ETag"]):
        kept = {name: value for name, value in headers.items() if not name.startswith("Content-")}
        await answer(send, 304, kept)
    else:
        await answer(send, 200, headers, body)


def lifetime(settings: Settings) -> dict[str, str]:
    """The headers that say when the stream ends by itself."""
    if settings.ttl is not None:
        return {"Stream-TTL": str(settings.ttl)}
    return {"Stream-Expires-At": settings.expires_at} if settings.expires_at else {}


def body(stream: StreamLog, page: Page) -> bytes:
    return b"[" + page.data + b"]" if stream.settings.is_json else page.data


def page_headers(stream: StreamLog, page: Page) -> dict[str, str]:
    headers = {"Content-Type": stream.settings.content_type, "Stream-Next-Offset": str(page.end)}
    if page.up_to_date:
        headers["Stream-Up-To-Date"] = "true"
    if page.closed:
        headers["Stream-Closed"] = "true"
    if is_raw(stream.name.rpartition("/")[2]):  # what somebody brought is a file to keep, and no page of ours
        headers["Content-Disposition"] = "attachment"
    return headers


def cursor(request: Request) -> str:
    """Changes with time, and is always beyond the caller's, so that no cache can serve one answer in circles."""
    now = int(time.time() - _EPOCH) // _INTERVAL
    given = (request.query.get("cursor") or [""])[0]
    if not (given.isascii() and given.isdigit() and len(given) < 16) or int(given) < now:
        return str(now)
    return str(int(given) + random.randint(1, 3600 // _INTERVAL))  # noqa: S311  # not a secret


def _is_text(stream: StreamLog) -> bool:
    return stream.settings.is_json or stream.settings.base_type.startswith("text/")


def _tag(stream: StreamLog, page: Page) -> str:
    """Names all that an answer tells: the same bytes are another answer once they are not the last ones any more."""
    reaches = ":c" if page.closed else ":u" if page.up_to_date else ""
    return f'"{stream.settings.incarnation}:{page.start}:{page.end}{reaches}"'


def _matches(request: Request, tag: str) -> bool:
    given = request.header(b"if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in given.split(",")]


def _caching(page: Page, caller: Caller) -> str:
    whose = "public" if caller.until else "private"
    if page.up_to_date:  # it grows with the tail; asking again with its tag costs almost nothing
        return f"{whose}, no-cache"
    # What a link shows is nobody's for longer than the link lives.
    left = max(0, caller.until - int(time.time()) - 1) if caller.until else _FRESH + _STALE
    fresh = min(_FRESH, left)
    return f"{whose}, max-age={fresh}, stale-while-revalidate={min(_STALE, left - fresh)}"

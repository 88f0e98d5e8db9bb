"""Requests that read a stream: a page forward or backward, or following its tail."""

from __future__ import annotations

import random
import time
from typing import NamedTuple

from streams.offsets import Offset
from streams.refusals import Malformed, NoStream, Refusal
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
        self._followers: set[Follower] = set()

    def hang_up(self) -> None:
        for follower in self._followers:
            follower.end()

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
        elif live == "long-poll":
            await self._poll(request, caller, stream, start, send)
        elif live == "sse":
            await self._events(request, caller, stream, start, send)
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
        if not await self._store.holds(stream, offset):
            raise Malformed("This offset was never given out for this stream.")
        return offset

    async def _events_from(self, stream: StreamLog, at: Offset, mark: str) -> Encoded:
        """Read and encoded once for all who are at the same place, which at the tail everybody is."""
        key = at, stream.tail, stream.closed, mark
        if stream.frame and stream.frame[0] == key:
            shared: Encoded = stream.frame[1]
            return shared
        page = await self._store.read(stream, at)
        parts = []
        if page.start != page.end:
            parts.append(event_data(body(stream, page), _is_text(stream)))
        parts.append(event_control(page, None if page.closed else mark))
        made = Encoded(page.end, page.closed, b"".join(parts))
        if page.up_to_date and len(made.encoded) < SHARED:
            stream.frame = key, made
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
        await answer(send, 200, headers)

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
            headers["Cache-Control"] = _caching(page, caller)
            headers["ETag"] = tag = _tag(stream, page)
            if _matches(request, tag):
                await answer(send, 304, {"ETag": tag, "Cache-Control": headers["Cache-Control"]})
                return
        await answer(send, 200, headers, body(stream, page))

    async def _poll(self, request: Request, caller: Caller, stream: StreamLog, start: Offset, send: Send) -> None:
        follower = Follower(stream, request, caller, self._door)
        self._followers.add(follower)
        try:
            await follower.wait_beyond(start, self._long_poll)
        finally:
            self._followers.discard(follower)
            follower.leave()
        if not follower.is_welcome:
            raise Refusal(403, "revoked", "You may no longer follow this stream.")
        page = await self._store.read(stream, start, request.number("limit", MOST_MESSAGES))
        headers = page_headers(stream, page)
        if not page.closed:
            headers["Stream-Cursor"] = cursor(request)
        if page.start == page.end:
            del headers["Content-Type"]
            await answer(send, 204, headers | {"Cache-Control": "no-store"})
            return
        headers |= {"ETag": _tag(stream, page), "Cache-Control": _caching(page, caller)}
        if _matches(request, headers["ETag"]):
            await answer(send, 304, {"ETag": headers["ETag"]})
            return
        await answer(send, 200, headers, body(stream, page))

    async def _events(self, request: Request, caller: Caller, stream: StreamLog, start: Offset, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        if not _is_text(stream):
            headers.append((b"stream-sse-data-encoding", b"base64"))
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, *ALWAYS]})
        follower = Follower(stream, request, caller, self._door)
        self._followers.add(follower)
        try:
            await self._pour(request, stream, start, send, follower)
        except NoStream:
            pass  # it was deleted while somebody followed it; the end of the response says so
        finally:
            self._followers.discard(follower)
            follower.leave()
        await send({"type": "http.response.body", "body": b""})

    async def _pour(self, request: Request, stream: StreamLog, at: Offset, send: Send, follower: Follower) -> None:
        """Everything from `at` on, as it comes, until the stream ends, the caller leaves or the minute is over."""
        deadline = time.monotonic() + self._sse
        while True:
            self._store.touch(stream)
            page = await self._events_from(stream, at, cursor(request))
            await send({"type": "http.response.body", "body": page.encoded, "more_body": True})
            at, left = page.end, deadline - time.monotonic()
            if page.closed or left <= 0:
                return
            if not await follower.wait_beyond(at, min(left, self._long_poll)):
                return


class Encoded(NamedTuple):
    """A page as those read it who follow by SSE."""

    end: Offset
    closed: bool
    encoded: bytes


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
    return f'"{stream.settings.incarnation}:{page.start}:{page.end}{":c" if page.closed else ""}"'


def _matches(request: Request, tag: str) -> bool:
    given = request.header(b"if-none-match")
    return given is not None and (given.strip() == "*" or tag in [each.strip() for each in given.split(",")])


def _caching(page: Page, caller: Caller) -> str:
    whose = "public" if caller.until else "private"
    if page.up_to_date:  # it grows with the tail; asking again with its tag costs almost nothing
        return f"{whose}, no-cache"
    # What a link shows is nobody's for longer than the link lives.
    left = max(0, caller.until - int(time.time()) - 1) if caller.until else _FRESH + _STALE
    fresh = min(_FRESH, left)
    return f"{whose}, max-age={fresh}, stale-while-revalidate={min(_STALE, left - fresh)}"

"""The stream server: a raw ASGI application that speaks the Durable Streams protocol over a store.

Beyond the protocol it knows two things. A stream created with `Arbe-Envelope: true` puts an envelope around each
event. And `GET ?before=OFFSET&limit=N` (`before=now` for the tail) answers the last N messages before an offset as a
JSON array; `Stream-Prev-Offset` says where that page begins, which is what to ask for next, and is absent when nothing
lies before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streams.log import StreamLog
from streams.reading import Reading
from streams.refusals import NoStream, Refusal
from streams.store import Store
from streams.wire import ALWAYS, Door, OpenDoor, Receive, Request, Ring, Scope, Send, answer, refuse
from streams.writing import Writing

log = logging.getLogger(__name__)
PREFIX = "/v1/stream/"
_METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "authorization, content-type, if-none-match, stream-closed, stream-seq, "
    "stream-ttl, stream-expires-at, producer-id, producer-epoch, producer-seq, arbe-envelope",
    "Access-Control-Max-Age": "86400",
}
_EXPOSED = (
    b"stream-next-offset, stream-prev-offset, stream-up-to-date, stream-closed, stream-cursor, etag, location, "
    b"producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, stream-sse-data-encoding"
)


class StreamServer:
    """Serves the streams of one store to whom the door admits, and rings when one has grown."""

    def __init__(
        self,
        store: Store,
        door: Door,
        ring: Ring | None = None,
        *,
        long_poll: float = 20.0,
        sse: float = 60.0,
        public: bool = False,
    ) -> None:
        self.store, self.door, self._public = store, door, public
        self._reading = Reading(store, door, long_poll=long_poll, sse=sse)
        self._writing = Writing(store)
        self._bell = Bell(ring) if ring else None
        if self._bell:
            store.listeners.append(self._bell.on_commit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("The stream server answers HTTP only.")
        if self._public:
            send = _to_anywhere(send)
        try:
            await self._serve(scope, receive, send)
        except Refusal as refusal:
            await refuse(send, refusal, bodiless=scope["method"] == "HEAD")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        name = path[len(PREFIX) :]
        if not path.startswith(PREFIX) or not name or len(name) > 512 or not name.isprintable():
            raise NoStream("There is no stream at this address.")
        request = Request(scope, receive, name)
        if request.method == "OPTIONS":
            await answer(send, 204, _PREFLIGHT)
            return
        scope["house"], scope["stream"] = request.house, request.stream
        caller = await self.door.admit(scope)
        if not caller.internal and (not request.house or caller.house_id != request.house):
            raise NoStream("There is no such stream.")
        if request.method == "POST":
            await self._writing.append(request, caller, send)
        elif request.method in ("GET", "HEAD"):
            await self._reading.answer(request, caller, send)
        elif request.method == "PUT":
            await self._writing.create(request, caller, send)
        elif request.method == "DELETE":
            await self._writing.delete(request, caller, send)
        else:
            raise Refusal(405, "method", f"A stream answers to {_METHODS}.", {"Allow": _METHODS})

    def hang_up(self) -> None:
        """End every tail now, so that the process can stop; clients come back and read on."""
        self._reading.hang_up()

    async def close(self) -> None:
        self.hang_up()
        await self.store.close()


class Bell:
    """Rings for each stream that grew, one ring at a time per stream; what grew meanwhile shares the next."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._due: set[StreamLog] = set()
        self._tasks: dict[StreamLog, asyncio.Task[None]] = {}

    def on_commit(self, stream: StreamLog) -> None:
        self._due.add(stream)
        if stream not in self._tasks:
            self._tasks[stream] = asyncio.create_task(self._ring_until_quiet(stream))

    async def _ring_until_quiet(self, stream: StreamLog) -> None:
        house, _, name = stream.name.rpartition("/")
        try:
            while stream in self._due:
                self._due.discard(stream)
                await self._ring(house, name, str(stream.tail))
        except Exception:
            # A lost ring costs a listener a moment; a lost append would cost the event.
            log.exception("The bell of %s could not be rung.", stream.name)
        finally:
            self._due.discard(stream)
            del self._tasks[stream]


def _to_anywhere(send: Send) -> Send:
    cross = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
    policy = (ALWAYS[0], (b"cross-origin-resource-policy", b"cross-origin"))

    async def sending(message: object) -> None:
        if isinstance(message, dict) and message["type"] == "http.response.start":
            own = [line for line in message["headers"] if line not in ALWAYS]
            message = message | {"headers": [*own, *policy, *cross]}
        await send(message)  # type: ignore[arg-type]  # it is what send was given

    return sending


def create_app(folder: str | Path, **options: float) -> OpenStreams:
    """An application of its own that lets everybody in: for loopback and for tests."""
    return OpenStreams(folder, **options)


class OpenStreams:
    """A stream server that opens its store when the ASGI server starts and closes it when that ends."""

    def __init__(self, folder: str | Path, **options: float) -> None:
        self._folder, self._options = folder, options
        self.server: StreamServer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self.server:
            await self.server(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._opened():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        long_poll, sse = self._options.get("long_poll", 20.0), self._options.get("sse", 60.0)
        self.server = StreamServer(Store(self._folder), OpenDoor(), long_poll=long_poll, sse=sse, public=True)
        try:
            yield
        finally:
            await self.server.close()

"""The stream server: a raw ASGI application that speaks the Durable Streams protocol over a store.

Beyond the protocol it knows two things. A stream created with `Arbe-Envelope: true` puts an envelope around each
event. And `GET ?before=OFFSET&limit=N` (`before=now` for the tail) answers the last N messages before an offset as a
JSON array; `Stream-Prev-Offset` says where that page begins, which is what to ask for next, and is absent when nothing
lies before it.

Where the time of an append goes, of 100 samples taken while 64 connections append to one stream, some 60 µs of
processor each: 31 in routing, the door, parsing and headers here and in `writing`; 27 in the thread that writes and
syncs batches; 19 in the write of the answer to the socket; 10 in asking the store and waiting for it; 8 in `front`; 6
in deciding, packing and publishing batches. Spread over 64 streams the last costs 6 µs an append more, for each
stream of a batch has an entry of its own. One append alone waits for the disk for a quarter of its time (0.25 of 1.2
ms to an SSE reader).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from streams import links
from streams.refusals import NoStream, Refusal
from streams.root import PREFIX
from streams.serving.reading import Reading
from streams.serving.writing import Writing
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.storage.sweeping import Sweep
from streams.subscriptions.addresses import Addresses
from streams.subscriptions.configuration import is_reserved
from streams.wire import ALWAYS, Door, Receive, Request, Ring, Scope, Send, answer, refuse

if TYPE_CHECKING:
    from streams.owning import Owning  # which brings Django along, and a server alone does without

log = logging.getLogger(__name__)
_METHODS = "GET, HEAD, PUT, POST, DELETE, OPTIONS"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "authorization, content-type, if-none-match, stream-closed, stream-seq, "
    "if-match, stream-ttl, stream-expires-at, stream-forked-from, stream-fork-offset, stream-fork-sub-offset, "
    "producer-id, producer-epoch, producer-seq, arbe-envelope, arbe-retain",
    "Access-Control-Max-Age": "86400",
}
_EXPOSED = (
    b"stream-next-offset, stream-prev-offset, stream-first-offset, stream-ttl, stream-expires-at, "
    b"stream-up-to-date, stream-closed, stream-cursor, etag, location, "
    b"producer-epoch, producer-seq, producer-expected-seq, producer-received-seq, stream-sse-data-encoding"
)
# Who asks decides what they see: no cache may take one's page for another's.
_BEHIND_A_DOOR = (*ALWAYS, (b"vary", b"Authorization, Cookie"))
_ANYWHERE = (
    *(line for line in ALWAYS if line[0] != b"cross-origin-resource-policy"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
)
# A link is a secret in an address: it goes into no referrer and into no search engine.
_OF_LINKS = ((b"referrer-policy", b"no-referrer"), (b"x-robots-tag", b"noindex"))


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
        address: str | None = None,
        owning: Owning | None = None,
    ) -> None:
        self.store, self.door, self._public = store, door, public
        self._reading = Reading(store, door, long_poll=long_poll, sse=sse)
        self._writing = Writing(store, owning)
        self._subscribing = Addresses(store, door, is_open=public, base=address and address.rstrip("/") + PREFIX[:-1])
        self._sweep = Sweep(store)
        self._bell = Bell(ring) if ring else None
        if self._bell:
            store.listeners.append(self._bell.on_commit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("The stream server answers HTTP only.")
        if links.comes_with(scope):
            send = _with(send, _ANYWHERE + _OF_LINKS)
        elif self._public:
            send = _with(send, _ANYWHERE)
        elif scope["method"] in ("GET", "HEAD"):
            send = _with(send, _BEHIND_A_DOOR)
        try:
            await self._serve(scope, receive, send)
        except Refusal as refusal:
            await refuse(send, refusal, bodiless=scope["method"] == "HEAD")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        name = path[len(PREFIX) :]
        if not path.startswith(PREFIX) or not name or len(name) > 512 or not name.isprintable():
            raise NoStream("There is no stream at this address.")
        request = Request(scope, receive, name)
        if request.method == "OPTIONS":
            await answer(send, 204, _PREFLIGHT)
            return
        # Nor may a fork show what is kept under reserved names.
        if is_reserved(name) or is_reserved(request.source):
            await self._subscribing.answer(request, send)
        else:
            await self._serve_stream(request, scope, send)

    async def _serve_stream(self, request: Request, scope: Scope, send: Send) -> None:
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
        await self._sweep.close()
        await self._subscribing.close()
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


def _path(scope: Scope) -> str:
    """Raises `NoStream` for what is no UTF-8: servers put U+FFFD there, and two addresses would be one."""
    path: str = scope["path"]
    if "\ufffd" not in path:
        return path
    try:
        return unquote_to_bytes(scope["raw_path"].partition(b"?")[0]).decode()
    except UnicodeDecodeError as error:
        raise NoStream("There is no stream at this address.") from error


def _with(send: Send, lines: tuple[tuple[bytes, bytes], ...]) -> Send:
    """Sends answers with these lines for those of `ALWAYS`."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = message["headers"][: -len(ALWAYS)]  # which are last in every answer
            message["headers"] = [*own, *lines]
        await send(message)

    return sending

"""The one ASGI application: streams without middleware, websockets through Channels, everything else through Django."""

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import path

from streams.bell import ring
from streams.door import LONGEST_COOKIES, HouseDoor
from streams.owning import Owning
from streams.root import PREFIX
from streams.serving.server import StreamServer
from streams.storage.opening import store_at
from threads.door import bits_on
from threads.log.live import LiveThread

Application = Callable[[Any, Any, Any], Awaitable[None]]
# Django types addresses for its own views; a consumer is an application.
LIVE: Any = LiveThread.as_asgi()
SOCKETS: Any = [path("ws/threads/<str:house>/<str:thread>", LIVE)]


LARGEST = 66 * 1024 * 1024  # bytes: a file of 64 MB, and the form around it


class Arbe:
    """Holds the stream store while the server lives, unless streams are served elsewhere."""

    def __init__(self, django: Application) -> None:
        if settings.SECRET_KEY == settings.NO_KEY or not settings.STREAMS_KEY:
            raise ImproperlyConfigured("ARBE_SECRET_KEY and ARBE_STREAMS_KEY are not set; `manage.py up` makes them.")
        sockets = URLRouter(SOCKETS)
        self.pages = ProtocolTypeRouter({"http": django, "websocket": AllowedHostsOriginValidator(sockets)})
        self.token_sockets: Any = sockets
        self.streams: StreamServer | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(PREFIX) and self.streams is not None:
            await self.streams(scope, receive, send)
        elif scope["type"] == "http" and (receive_some := await _bounded(scope, receive, send)):
            await self.pages(scope, receive_some, send)
        elif scope["type"] == "websocket" and _has_token(scope):
            # No page can make a browser send a token along, so who does needs no origin.
            await self.token_sockets(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.pages(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        if settings.STREAMS_HERE:
            self.streams = stream_server(settings.ARBE_VAR / "streams")
            await self.streams.store.ready()
        with _told_to_stop(self._hang_up):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        if self.streams is not None:
            await self.streams.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _hang_up(self) -> None:
        if self.streams is not None:
            self.streams.hang_up()


@contextmanager
def _told_to_stop(act: Callable[[], None]) -> Iterator[None]:
    """Acts as soon as a signal says to stop: uvicorn speaks of it only when its connections have ended, and tails
    would not end by themselves. What the signal did before, it does after that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, before = asyncio.get_running_loop(), {}

    def heed(then: Callable[[int, FrameType | None], object], number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        then(number, frame)

    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(then := signal.getsignal(number)):
            before[number] = signal.signal(number, partial(heed, then))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stream_server(
    folder: Path, *, long_poll: float = 20.0, sse: float = 60.0, jetstream: Sequence[str] = ()
) -> StreamServer:
    """The streams of houses, for whom their doors admit, and with the bell."""
    door = HouseDoor(bits_on)
    store = store_at(folder, jetstream or settings.STREAMS_JETSTREAM, settings.STREAMS_JETSTREAM_CREDENTIALS)
    return StreamServer(store, door, ring, long_poll=long_poll, sse=sse, address=settings.ARBE_URL, owning=Owning(door))


def _has_token(scope: Any) -> bool:
    return any(name == b"authorization" for name, _ in scope["headers"])


async def _bounded(scope: Any, receive: Any, send: Any) -> Any:
    """`receive`, up to what any address takes: Django writes a whole body to disk before a view can refuse it.

    A length that says too much is answered here with 413, cookies that are too long with 431 (and None is returned); a
    length that lied, or a body without one, is cut off as if the sender had gone.
    """
    if sum(len(value) for name, value in scope["headers"] if name == b"cookie") > LONGEST_COOKIES:
        # Python reads cookies in a time that grows with the square of their length.
        await _refuse(send, 431, f"Your cookies have more than {LONGEST_COOKIES >> 10} kB; delete some of them.")
        return None
    said = dict(scope["headers"]).get(b"content-length", b"0")
    if said.isdigit() and int(said) > LARGEST:
        await _refuse(send, 413, f"That is more than {LARGEST // 1024 // 1024} MB, which is what fits here.")
        return None
    left = LARGEST

    async def some() -> Any:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}

    return some


async def _refuse(send: Any, status: int, detail: str) -> None:
    body = json.dumps({"code": "too_large", "detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The one ASGI application: streams without middleware, websockets through Channels, everything else through Django."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.urls import path

from streams.bell import ring
from streams.door import HouseDoor
from streams.server import StreamServer
from streams.store import Store
from threads.live import LiveThread

Application = Callable[[Any, Any, Any], Awaitable[None]]
# Django types addresses for its own views; a consumer is an application.
LIVE: Any = LiveThread.as_asgi()
SOCKETS: Any = [path("ws/threads/<str:house>/<str:thread>", LIVE)]


class Arbe:
    """Holds the stream store while the server lives, unless streams are served elsewhere."""

    def __init__(self, django: Application) -> None:
        sockets = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(SOCKETS)))
        self.pages = ProtocolTypeRouter({"http": django, "websocket": sockets})
        self.streams: StreamServer | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/v1/stream/") and self.streams is not None:
            await self.streams(scope, receive, send)
        else:
            await self.pages(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        if settings.STREAMS_HERE:
            self.streams = StreamServer(Store(settings.ARBE_VAR / "streams"), HouseDoor(), ring)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.streams is not None:
            await self.streams.close()
        await send({"type": "lifespan.shutdown.complete"})

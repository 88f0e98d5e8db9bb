"""The one ASGI application: streams without middleware, websockets through Channels, everything else through Django."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arbe.settings")

from typing import Any

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()  # first: it loads the apps that everything below imports

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

PAGES = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter([path("ws/threads/<str:house>/<str:thread>", LiveThread.as_asgi())])  # type: ignore[arg-type]  # channels' own stub gap
            )
        ),
    }
)


class Arbe:
    """Holds the stream store while the server lives, unless streams are served elsewhere."""

    def __init__(self) -> None:
        self.streams: StreamServer | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith("/v1/stream/") and self.streams is not None:
            await self.streams(scope, receive, send)
        else:
            await PAGES(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        if settings.STREAMS_HERE:
            self.streams = StreamServer(Store(settings.ARBE_VAR / "streams"), HouseDoor(), ring)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.streams is not None:
            await self.streams.close()
        await send({"type": "lifespan.shutdown.complete"})


application = Arbe()

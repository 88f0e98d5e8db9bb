"""A real stream server on loopback with arbe's own door, as `manage.py up` runs it, and who may stand before it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn

from streams.door import HouseDoor
from streams.owning import Owning
from streams.serving.server import StreamServer
from streams.storage.store import Store
from tests.services import wait_for
from tests.streams.conftest import free_port
from threads.door import bits_on

KEY = "the key of the streams"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Its address. Tests set `STREAMS_KEY` to `KEY`, and commit."""
    port, made = free_port(), {}

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            door = HouseDoor(bits_on)
            made["server"] = StreamServer(Store(folder), door, long_poll=4, sse=30, owning=Owning(door))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await made["server"].close()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await made["server"](scope, receive, send)

    config = uvicorn.Config(app, port=port, log_level="debug", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(server, thread)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        made["server"].hang_up()
        server.should_exit = True
        thread.join(20)


class Street:
    """arbe itself, somebody with nothing to show, and whoever has a token."""

    def __init__(self, url: str, house: str) -> None:
        self.url, self.house = url, house
        self._clients = []
        self.arbe, self.anybody = self.holding(KEY), self.holding(None)

    def at(self, stream: str) -> str:
        return f"/v1/stream/{self.house}/{stream}"

    def holding(self, token: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=10))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()

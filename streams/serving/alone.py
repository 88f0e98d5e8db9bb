"""A stream server in a process of its own.

`python -m streams.serving.alone FOLDER --open` lets everybody on this machine in, without Django's start: for tests
and trials.
Operators say `manage.py streams`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from streams.root import PREFIX
from streams.serving.front import Front
from streams.serving.server import StreamServer
from streams.storage.committing import JOURNAL_SIZE
from streams.storage.store import FolderRefused, Store
from streams.wire import OpenDoor, Receive, Scope, Send

PORT = 4437  # the protocol's own
GRACE = 5  # seconds in which requests under way may end


class CannotServe(Exception):
    """There is a reason why nothing can be served, and it is a sentence."""


class Alone(uvicorn.Server):
    """Opens a stream server, serves it until a signal says to stop, and closes it."""

    def __init__(self, make: Callable[[], StreamServer], host: str, port: int) -> None:
        self.streams: StreamServer | None = None
        self.when_open: Callable[[], None] | None = None
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                self._answer,
                host=host,
                port=port,
                interface="asgi3",
                http=Front,
                lifespan="off",
                log_level="warning",
                access_log=False,  # addresses may carry links, which are secrets
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self.streams, self._loop = self._make(), asyncio.get_running_loop()
        try:
            await self.streams.store.ready()
            if self.when_open:
                self.when_open()
            await super().serve(sockets)
        finally:
            await self.streams.close()

    def serve_here(self, say: Callable[[str], None], sentence: str) -> None:
        """Until a signal comes. Raises `CannotServe` if the port or the folder is somebody else's."""
        host, port = self.config.host, self.config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=self.config.backlog)
        except OSError as error:
            why = (error.strerror or str(error)).partition(" (")[0]
            raise CannotServe(f"Nobody can listen on port {port} of {host}: {why}.") from error
        where = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}{PREFIX}"

        def opened() -> None:
            _collect_less()
            say(sentence.format(where=where))

        self.when_open = opened
        with listening:
            try:
                self.run([listening])
            except FolderRefused as error:
                raise CannotServe(str(error)) from error

    def hang_up(self) -> None:
        """Uvicorn waits for open connections before it stops; a tail must be told that this is the end.

        From any thread, and as often as one likes.
        """
        if self.streams and self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.streams.hang_up)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.hang_up()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """To be told to stop is no failure: a signal that was heeded is not raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.streams is not None
        await self.streams(scope, receive, send)


def _collect_less() -> None:
    """What is there now stays; looking through all of it for garbage again and again held requests up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, 1000)


def server(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    long_poll: float = 20.0,
    sse: float = 60.0,
    journal_size: int = JOURNAL_SIZE,
) -> Alone:
    """One that lets everybody in who reaches it."""

    def make() -> StreamServer:
        return StreamServer(Store(folder, journal_size), OpenDoor(), long_poll=long_poll, sse=sse, public=True)

    return Alone(make, host, port)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--open", action="store_true", required=True, help="no authentication: for tests and trials")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--long-poll", type=float, default=20.0)
    parser.add_argument("--journal-size", type=int, default=JOURNAL_SIZE, help="bytes, after which it is laid out")
    given = parser.parse_args()
    opened = server(given.folder, port=given.port, long_poll=given.long_poll, journal_size=given.journal_size)
    try:
        opened.serve_here(lambda line: None, "")
    except CannotServe as sentence:
        sys.exit(str(sentence))


if __name__ == "__main__":
    main()

"""The HTTP front of the stream server: the server's side of one connection, for `uvicorn.Config(http=Front)`.

An append is small, and uvicorn's own protocol took a third of its time: a timer per request, regular expressions over
each header it sends, two writes per answer. This one speaks the same ASGI to the application and does per request only
what that needs: 15 µs instead of 24 for an application that does nothing, a third more appends a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from streams.serving.exchange import Exchange

log = logging.getLogger("uvicorn.error")
MOST_HEAD = 64 << 10  # bytes of a request's address and headers


class Front(asyncio.Protocol):
    """One connection: its requests are answered one after the other, in the order in which they came."""

    transport: asyncio.Transport
    flow: FlowControl

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.app: Any = config.loaded_app
        self.state, self._app_state = server_state, app_state
        self.loop = _loop or asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._patience = config.timeout_keep_alive  # seconds that a connection may rest between two requests
        self._resting_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._arriving: Exchange | None = None  # the request whose bytes come in
        self._answering: Exchange | None = None
        self._line: deque[Exchange] = deque()
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._head_size = 0  # bytes that came since a request was whole or its head was

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream socket
        self.flow = FlowControl(self.transport)
        self.state.connections.add(self)  # type: ignore[arg-type]  # it asks of them only shutdown()
        self._whence = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
            "root_path": "",
        }

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.connections.discard(self)
        for exchange in (self._answering, self._arriving, *self._line):
            if exchange:
                exchange.leave()
        self._line.clear()
        self.flow.resume_writing()
        if self._timer:
            self._timer.cancel()
        self._parser = None  # it holds the connection, and the connection it

    def data_received(self, data: bytes) -> None:
        self._resting_since = None
        if self._arriving is None:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is upgraded here: the request is answered as if it had not asked
        except httptools.HttpParserError:
            self._turn_away(b"400 Bad Request")
        if self._head_size > MOST_HEAD:
            self._turn_away(b"431 Request Header Fields Too Large")

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip(b" \t")
        self._headers.append((name, value.lower() if name == b"expect" else value))

    def on_headers_complete(self) -> None:
        self._head_size = 0
        if self.transport.is_closing():
            return
        parser, headers = self._parser, self._headers
        raw_path, _, query = self._url.partition(b"?")
        path = raw_path.decode("ascii", "replace")
        scope = self._whence | {
            "method": parser.get_method().decode(),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "state": self._app_state.copy(),
        }
        version = parser.get_http_version()
        if version != "1.1":
            scope["http_version"] = version
        exchange = Exchange(self, scope, parser.should_keep_alive())
        self._arriving = exchange
        if self._answering:
            self._line.append(exchange)
            self.flow.pause_reading()
        else:
            self._begin(exchange)

    def on_body(self, body: bytes) -> None:
        if self._arriving and self._arriving.take(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        if self._arriving:
            self._arriving.finish()
            self._arriving = None

    # What the exchange calls, and uvicorn's server.

    def answered(self) -> None:
        """The answer is written: on with the next request, or rest."""
        self.state.total_requests += 1
        self._answering = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._line:
            self._begin(self._line.popleft())
            return
        self._resting_since = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self._patience, self._look)

    def shutdown(self) -> None:
        """Close, at once or behind the answer that is being given."""
        if self._answering is None:
            self.transport.close()
        for exchange in (self._answering, *self._line):
            if exchange:
                exchange.keep_alive = False

    def _begin(self, exchange: Exchange) -> None:
        self._answering = exchange
        exchange.task = task = self.loop.create_task(exchange.run())
        self.state.tasks.add(task)

    def _look(self) -> None:
        """One timer per connection, which is late for most requests and then set anew, costs less than one for each."""
        self._timer = None
        if self._resting_since is None or self.transport.is_closing():
            return
        left = self._resting_since + self._patience - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._timer = self.loop.call_later(left, self._look)

    def _turn_away(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._answering is None:
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()

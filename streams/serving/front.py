"""The HTTP front of the stream server: the server's side of one connection, for `uvicorn.Config(http=Front)`.

An append is small, and uvicorn's own protocol took a third of its time: a timer per request, regular expressions over
each header it sends, two writes per answer. This one speaks the same ASGI to the application and does per request only
what that needs: 15 µs instead of 24 for an application that does nothing, a third more appends a second.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from streams.serving.exchange import TAKING, Exchange

MOST_HEAD = 64 << 10  # bytes of a request's address and headers, or of what follows its body
_ORIGIN = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)  # what a proxy puts before the path


class Front(asyncio.Protocol):
    """One connection: its requests are answered one after the other, in the order in which they came."""

    transport: asyncio.Transport
    flow: FlowControl
    # Seconds: for a head, from its first byte on (or from the connection's first moment); for the next byte of a body,
    # or all that is left of it once the answer is given; for whoever still sends when all was said.
    head_time, body_time, farewell_time = 10.0, 60.0, 5.0

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
        self._due: float | None = None  # when the client must have done what it owes
        self._timer: asyncio.TimerHandle | None = None
        self._arriving: Exchange | None = None  # the request whose bytes come in
        self._answering: Exchange | None = None
        self._line: deque[Exchange] = deque()
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._hosts, self._is_in_head = 0, False
        self._unread = 0  # bytes that came since there was a whole head, or some of a body
        self._is_deaf, self._last_word = False, b""  # what comes is no request any more; what is left to say to that

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
        self._give(self.head_time)

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
        if self._is_deaf:
            return
        self._unread += len(data)
        before = self._arriving
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_deaf = True  # nothing is upgraded: the request is answered, and nothing after it is one
        except httptools.HttpParserError:
            self._turn_away(b"400 Bad Request")
        if self._unread > MOST_HEAD:
            self._turn_away(b"431 Request Header Fields Too Large")
        if not (self._is_in_head or self._is_deaf):
            self._give_for_body(before)

    def eof_received(self) -> None:
        pass

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url, self._headers, self._hosts, self._is_in_head = b"", [], 0, True
        self._give(self.head_time)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # what follows a body says nothing that was not known before it
        name = name.lower()
        value = value.rstrip(b" \t")
        if name == b"host":
            self._hosts += 1
        self._headers.append((name, value.lower() if name == b"expect" else value))

    def on_headers_complete(self) -> None:
        self._unread, self._is_in_head = 0, False
        if self.transport.is_closing():
            return
        parser, headers, version = self._parser, self._headers, self._parser.get_http_version()
        if self._hosts > 1 or (version == "1.1" and not self._hosts):
            raise ValueError("A request names one host.")
        is_upgrade = parser.should_upgrade()
        if is_upgrade and _has_body(headers):
            raise ValueError("What follows might be a body, or the protocol that was asked for.")
        if not self._url.startswith(b"/"):
            self._url = _without_origin(self._url, headers)
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
        if version != "1.1":
            scope["http_version"] = version
        keep_alive = version == "1.1" and not is_upgrade and parser.should_keep_alive()
        exchange = Exchange(self, scope, keep_alive)
        self._arriving = exchange
        if self._answering:
            self._line.append(exchange)
            self.flow.pause_reading()
        else:
            self._begin(exchange)

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._arriving and self._arriving.take(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._unread = 0
        if self._arriving:
            self._arriving.finish()
            self._arriving = None

    # What the exchange calls, and uvicorn's server.

    def answered(self, exchange: Exchange) -> None:
        """The answer is written: on with the next request, or rest."""
        self.state.total_requests += 1
        self._answering = None
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if not exchange.keep_alive:
            if exchange.is_whole and not self._is_deaf:
                self.part()
            else:
                self._linger()
        elif self._line:
            self._begin(self._line.popleft())
        elif self._last_word:
            self._say_last()
        elif self._arriving:
            self._give(self.body_time)
        elif not self._is_in_head:
            self._give(self._patience)

    def part(self, patience: float = TAKING) -> None:
        """Close behind what is written; who does not take that in so many seconds is cut off."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(patience, self.transport.abort)

    def shutdown(self) -> None:
        """Close, at once or behind the answer that is being given."""
        if self._answering is None:
            self.part()
        for exchange in (self._answering, *self._line):
            if exchange:
                exchange.keep_alive = False

    def _begin(self, exchange: Exchange) -> None:
        self._answering = exchange
        exchange.task = task = self.loop.create_task(exchange.run())
        self.state.tasks.add(task)

    def _give(self, seconds: float) -> None:
        """One timer per connection, which is late for most requests and then set anew, costs less than one for each."""
        self._due = due = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            if self._timer:
                self._timer.cancel()
            self._timer = self.loop.call_at(due, self._look)

    def _give_for_body(self, before: Exchange | None) -> None:
        if self._arriving:
            if not self._arriving.is_done:
                self._give(self.body_time)
        elif self._answering:
            self._due = None
        elif before:
            self._give(self._patience)

    def _look(self) -> None:
        self._timer = None
        if self._due is None or self.transport.is_closing():
            return
        if self._due > self.loop.time():
            self._timer = self.loop.call_at(self._due, self._look)
        elif self.flow.read_paused:
            self._give(self.body_time)  # it is not the client who is late
        elif not self._is_deaf and (self._is_in_head or self._arriving):
            self._turn_away(b"408 Request Timeout")
        else:
            self.part()

    def _turn_away(self, status: bytes) -> None:
        """Hear nothing more; whoever asked before that is answered first."""
        if self._is_deaf or self.transport.is_closing():
            return
        self._is_deaf, self._due = True, None
        self._last_word = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
        broken, self._arriving = self._arriving, None
        if broken and broken.has_begun:
            broken.leave()
            self.part()
        elif broken and broken is self._answering:
            broken.leave()
            self._say_last()
        else:
            if broken:
                self._line.remove(broken)
            if self._answering is None:
                self._say_last()

    def _say_last(self) -> None:
        self.transport.write(self._last_word)
        self._linger()

    def _linger(self) -> None:
        """To close on a client that still sends would take back from it what it was told."""
        self._is_deaf, self._arriving, self._answering = True, None, None
        if not self.transport.can_write_eof():
            self.part()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._give(self.farewell_time)


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def _without_origin(url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The path of an absolute address; its host is the one that counts."""
    origin = _ORIGIN.match(url)
    if not origin:
        return url
    headers[:] = [(name, origin[1] if name == b"host" else value) for name, value in headers]
    path = url[origin.end() :]
    return path if path.startswith(b"/") else b"/" + path

"""One request and its answer on a connection, as ASGI wants to see them."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.serving.front import Front

log = logging.getLogger("uvicorn.error")
_CLOSE = b"connection: close\r\n"
_BODILESS = (204, 304)
TAKING = 60.0  # seconds in which a client takes something of what is written to it
_BROKEN = {"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]}


class Exchange:
    """Gives the application what arrives, and writes what it answers: head and first bytes in one go."""

    __slots__ = (
        "_body",
        "_expects_word",
        "_front",
        "_head",
        "_is_chunked",
        "_is_old",
        "_is_told",
        "_left",
        "_scope",
        "_waiter",
        "gone",
        "is_done",
        "is_whole",
        "keep_alive",
        "task",
    )

    def __init__(self, front: Front, scope: dict[str, Any], keep_alive: bool) -> None:
        self._front, self._scope, self.keep_alive = front, scope, keep_alive
        self.gone = self.is_done = self.is_whole = False
        self.task: asyncio.Task[None] | None = None
        self._body: bytes | bytearray = b""
        self._is_told = False  # that the body has ended
        self._is_old = scope["http_version"] != "1.1"
        self._expects_word = not self._is_old and (b"expect", b"100-continue") in scope["headers"]
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None  # written with the first bytes of the body, and then empty
        self._is_chunked = False
        self._left: int | None = 0  # bytes of the body that were announced and are still to come

    @property
    def has_begun(self) -> bool:
        """Whether something of the answer may be written."""
        return self._head is not None

    # What the connection tells.

    def take(self, body: bytes) -> int:
        """Bytes that wait to be received."""
        if self.is_done:
            return 0  # nobody will ask for them
        if self._body:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        else:
            self._body = body
        self._wake()
        return len(self._body)

    def finish(self) -> None:
        self.is_whole = True
        self._wake()

    def leave(self) -> None:
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    # What the application sees.

    async def run(self) -> None:
        try:
            await self._front.app(self._scope, self.receive, self.send)
            if self._front.flow.write_paused and not self.is_done and not self.gone:
                self._front.part(1)  # it had enough of a client that takes nothing
            elif not self.is_done and not self.gone:
                raise RuntimeError("The application ended before its answer did.")
        except Exception:
            # The last who could: a bug in one request must not take the connection's others unanswered with it.
            log.exception("Exception in ASGI application")
            await self._break_off()
        finally:
            self._front.state.tasks.discard(self.task)

    async def receive(self) -> dict[str, Any]:
        if self._expects_word:
            self._expects_word = False
            self._front.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._body or self.gone or self.is_done or (self.is_whole and not self._is_told)):
            self._front.flow.resume_reading()
            self._waiter = self._front.loop.create_future()
            await self._waiter
        if self.gone or self.is_done:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        self._is_told = self.is_whole
        return {"type": "http.request", "body": bytes(body), "more_body": not self.is_whole}

    async def send(self, message: dict[str, Any]) -> None:
        if self._front.flow.write_paused and not self.gone:
            await self._taken()
        if self.gone:
            return
        if self._head is None:
            self._head = self._begun(message)
        elif self.is_done:
            raise RuntimeError("The answer is complete already.")
        elif message["type"] != "http.response.body":
            raise RuntimeError("An answer has one status.")
        else:
            self._write(message.get("body", b""), message.get("more_body", False))

    async def _taken(self) -> None:
        try:
            async with asyncio.timeout(TAKING):
                await self._front.flow.drain()
        except TimeoutError:
            self._front.transport.abort()
            self.leave()

    def _begun(self, message: dict[str, Any]) -> bytes:
        """The head of the answer."""
        if message["type"] != "http.response.start":
            raise RuntimeError("An answer begins with its status.")
        status, length = message["status"], None
        # Where not, what is still to come would be read for nothing.
        self.keep_alive &= self.is_whole or not (status == 413 or self._expects_word)
        self._expects_word = False
        parts = [_status_line(status), *_fixed(self._front.state.default_headers)]
        for name, value in message["headers"]:
            if name == b"content-length":
                length = int(value)
            parts.append(b"%b: %b\r\n" % (name, value))
        if _CLOSE in parts:
            parts.remove(_CLOSE)
            self.keep_alive = False
        is_bodiless = status in _BODILESS or self._scope["method"] == "HEAD"
        if is_chunked := length is None and not is_bodiless and not self._is_old:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            parts.append(_CLOSE)
        head = b"".join(parts)
        # One line per part, and no other way to begin one: nothing that came from outside makes a header of its own.
        if head.count(b"\n") != len(parts) or head.count(b"\r") != len(parts):
            raise RuntimeError("A header may not hold a line break.")
        self._is_chunked, self._left = is_chunked, 0 if is_bodiless else length
        return head + b"\r\n"

    def _write(self, body: bytes, more: bool) -> None:
        if self._scope["method"] == "HEAD":
            body = b""
        elif self._is_chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = body if more else body + b"0\r\n\r\n"
        elif self._left is not None:  # else the end of the connection is the end of the answer
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("The answer is not as long as it said.")
        if self._head:
            body, self._head = self._head + body, b""
        if body:
            self._front.transport.write(body)
        if not more:
            self.is_done = True
            self._wake()
            self._front.answered(self)

    async def _break_off(self) -> None:
        if self.gone or self.is_done:
            return
        if self._head is None:
            self.keep_alive = False
            await self.send(_BROKEN)
            await self.send({"type": "http.response.body"})
        else:
            self._front.part(1)


@lru_cache(600)
def _status_line(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def _fixed(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The lines that every answer has; uvicorn makes a new list once a second, for the date."""
    if headers is not _known[0]:
        _known[:] = headers, [b"%b: %b\r\n" % line for line in headers]
    lines: list[bytes] = _known[1]
    return lines


_known: list[Any] = [None, []]

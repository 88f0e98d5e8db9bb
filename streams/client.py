"""How everything else in arbe reaches streams: over HTTP, at our own server or any that speaks the protocol.

What a call says and how its answers are read is written once, as a generator that yields requests: `streams.ours` for
our server, `streams.foreign` for any other (which one it is, the first call asks). `Streams` plays it on blocking
connections, `AsyncStreams` on asyncio's.

A call is said again until patience ends: after a lost connection, an answer that cannot be read, 429 and what the
server calls a failure of its own, and not before `Retry-After`. An append is said again only with a producer, whose
sequence lets the server know it; without one only if it surely was not heard. Sequences come from rows (an outbox's
position, a command's chunk), so nobody claims a new epoch by themselves: that would say again what was said before the
crash. Whoever is fenced off is told (`Fenced`). What is too much for one request is refused with 413 and not split: a
batch is there whole or not at all.

Tails are long polls. Where each event was waited for, server-sent events came sooner: by 1.6 to 11 ms at the median, in
single runs on a busy machine, which says some milliseconds and no more. No page notices it; but an answer that is whole
can be asked for again, passes proxies that hold back what has not ended, and does not leave a half-open connection to
wait on.

A server that is not ours costs this:

* Nobody there puts an envelope around an event. The client does, with the time of its own clock.
* No event there knows its offset, so its `seq` is its number, counted from the beginning of the stream. It holds
  everything a `seq` promises, as long as the server keeps the stream from its beginning on. A process counts by reading
  a stream once from there, then goes on from where it was; it remembers the end of the 100 streams it read last, about
  1 MB of each, and reads from the beginning again to look further back.
* It may commit an event and die before it has noted the sequence (the upstream file store does), and then takes the
  same event twice. Each carries its sequence, and is passed over the second time it is read: by this client, not by
  others who read there.
* Some write JSON anew (upstream does): whole numbers beyond 2^53 lose digits.
* It knows nobody's rights: members reach it through arbe's pages and API alone, and no bell is rung, so a live page
  looks every two seconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

import httpx

from streams import calls
from streams.calls import Address, Answer, Appended, Attempts, Call, Fenced, Page, Pause, Steps, StreamError
from streams.foreign import Foreign
from streams.ours import Ours, Speech
from streams.terms import Producer

# Seconds: a job waits for a server to come back; a page would rather say that nothing can be read right now.
A_JOBS, A_PAGES = 30.0, 2.0
__all__ = ["A_PAGES", "Appended", "AsyncStreams", "Fenced", "Page", "Producer", "StreamError", "Streams", "streams"]

T = TypeVar("T")


class Server:
    """What the clients of one address in this process know of it."""

    def __init__(self) -> None:
        self._speech: Speech | None = None

    @classmethod
    def at(cls, address: str) -> Server:
        """One for all who hold it at the same time."""
        return _servers.setdefault(address, cls())

    def speech(self, at: Address) -> Steps[Speech]:
        if self._speech is None:
            # Nothing else is an answer: a proxy's refusal must not be taken for a server of another kind.
            answer = yield Call("OPTIONS", at.path, fine=lambda status: 200 <= status < 300 or status in (405, 501))
            allowed = answer.headers.get("access-control-allow-headers", "")
            self._speech = Ours() if "arbe-envelope" in allowed.lower() else Foreign()
        return self._speech


_servers: WeakValueDictionary[str, Server] = WeakValueDictionary()


class Spoken:
    """What both clients have in common: whom they speak to, and how long they try."""

    def __init__(self, base_url: str, patience: float) -> None:
        self.address, self._patience = calls.streams_under(base_url), patience
        self._server = Server.at(self.address)

    def _attempts(self, at: Address, say: Callable[[Speech], Steps[T]]) -> Attempts[T]:
        def steps() -> Steps[T]:
            speech = yield from self._server.speech(at)
            return (yield from say(speech))

        return calls.persistently(steps(), self._patience)


class Streams(Spoken):
    """Streams for code that blocks. One instance per process is enough; it keeps connections open."""

    def __init__(self, base_url: str, key: str = "", *, patience: float = 30.0) -> None:
        super().__init__(base_url, patience)
        self._http = httpx.Client(**calls.connection(self.address, key))

    def create(self, house: str, stream: str) -> None:
        """Make sure the stream is there."""
        at = Address(house, stream)
        self._play(at, lambda server: server.create(at))

    def append(
        self, house: str, stream: str, events: list[dict[str, Any]], producer: Producer | None = None
    ) -> Appended:
        """Events are `{type, payload, author_agent_id, ts}`; the last two may be missing."""
        at = Address(house, stream)
        return self._play(at, lambda server: server.append(at, events, producer))

    def read(self, house: str, stream: str, offset: str = "-1", limit: int | None = None) -> Page:
        """What comes after an offset, or the first of it."""
        at = Address(house, stream)
        return self._play(at, lambda server: server.read(at, offset, limit))

    def before(self, house: str, stream: str, offset: str = "now", limit: int = 100) -> Page:
        """The last events before an offset; `page.prev` is where to go on backwards, None at the beginning."""
        at = Address(house, stream)
        return self._play(at, lambda server: server.before(at, offset, limit))

    def head(self, house: str, stream: str) -> Page:
        """Where the tail is and whether it is closed, without any events."""
        at = Address(house, stream)
        return self._play(at, lambda server: server.head(at))

    def shut(self, house: str, stream: str) -> None:
        """Close the stream for good."""
        at = Address(house, stream)
        self._play(at, lambda server: server.shut(at))

    def delete(self, house: str, stream: str) -> None:
        at = Address(house, stream)
        self._play(at, lambda server: server.delete(at))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _play(self, at: Address, say: Callable[[Speech], Steps[T]]) -> T:
        attempts = self._attempts(at, say)
        try:
            step = next(attempts)
            while True:
                answer = Answer(0)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    answer = self._ask(step)
                step = attempts.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def _ask(self, call: Call) -> Answer:
        try:
            return Answer.of(self._http.request(call.method, call.path, **call.options(self._patience)))
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Answer(0, error=error)


class AsyncStreams(Spoken):
    """The same for asyncio, and tails."""

    def __init__(self, base_url: str, key: str = "", *, patience: float = 30.0) -> None:
        super().__init__(base_url, patience)
        self._http = httpx.AsyncClient(**calls.connection(self.address, key))

    async def create(self, house: str, stream: str) -> None:
        at = Address(house, stream)
        await self._play(at, lambda server: server.create(at))

    async def append(
        self, house: str, stream: str, events: list[dict[str, Any]], producer: Producer | None = None
    ) -> Appended:
        at = Address(house, stream)
        return await self._play(at, lambda server: server.append(at, events, producer))

    async def read(self, house: str, stream: str, offset: str = "-1", limit: int | None = None) -> Page:
        at = Address(house, stream)
        return await self._play(at, lambda server: server.read(at, offset, limit))

    async def before(self, house: str, stream: str, offset: str = "now", limit: int = 100) -> Page:
        at = Address(house, stream)
        return await self._play(at, lambda server: server.before(at, offset, limit))

    async def head(self, house: str, stream: str) -> Page:
        at = Address(house, stream)
        return await self._play(at, lambda server: server.head(at))

    async def tail(self, house: str, stream: str, offset: str = "now") -> AsyncIterator[Page]:
        """Each page that comes after `offset`, until the stream closes; a lost connection is taken up again."""
        at, cursor = Address(house, stream), None
        while True:
            page: Page = await self._play(at, partial(_poll, at, offset, cursor))
            offset, cursor = page.next, page.cursor
            if page.events or page.closed:
                yield page
            if page.closed:
                return

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _play(self, at: Address, say: Callable[[Speech], Steps[T]]) -> T:
        attempts = self._attempts(at, say)
        try:
            step = next(attempts)
            while True:
                answer = Answer(0)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    answer = await self._ask(step)
                step = attempts.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _ask(self, call: Call) -> Answer:
        try:
            return Answer.of(await self._http.request(call.method, call.path, **call.options(self._patience)))
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Answer(0, error=error)


def _poll(at: Address, offset: str, cursor: str | None, server: Speech) -> Steps[Page]:
    return server.poll(at, offset, cursor)


_clients: dict[tuple[str, str, float], Streams] = {}


def streams(patience: float = A_JOBS) -> Streams:
    """This process's client, with so much patience, of the server in the settings."""
    from django.conf import settings  # here alone, so that all else in this module runs without settings

    where = settings.STREAMS_URL, settings.STREAMS_KEY, patience
    # Of two threads that ask first, one has made its client in vain; it has no connection yet.
    return _clients.get(where) or _clients.setdefault(where, Streams(*where[:2], patience=patience))


# A forked worker must not speak on its parent's connections.
os.register_at_fork(after_in_child=_clients.clear)

"""How everything else in arbe reaches streams: over HTTP, at our own server or any that speaks the protocol.

What a call says and how its answers are read is written once, as a generator that yields requests and pauses; `Streams`
plays it on blocking connections, `AsyncStreams` on asyncio's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any, Self

import httpx

from streams import calls
from streams.calls import Answer, Appended, Call, Page, Pause, StreamError
from streams.log import Producer

# Seconds: a job waits for a server to come back; a page would rather say that nothing can be read right now.
A_JOBS, A_PAGES = 30.0, 2.0
__all__ = ["A_PAGES", "Appended", "AsyncStreams", "Page", "Producer", "StreamError", "Streams", "streams"]

Steps = Generator[Call | Pause, Answer, Any]


class Streams:
    """Streams for code that blocks. One instance per process is enough; it keeps connections open."""

    def __init__(self, base_url: str, key: str = "", *, patience: float = 30.0) -> None:
        self._patience = patience
        self._http = httpx.Client(**calls.connection(base_url, key))

    def create(self, house: str, stream: str, envelope: bool = True) -> str:
        """Make sure the stream is there; its next offset."""
        made: str = self._play(calls.create(house, stream, envelope, self._patience))
        return made

    def append(
        self, house: str, stream: str, messages: list[dict[str, Any]], producer: Producer | None = None
    ) -> Appended:
        """Tried again until patience ends, but only with a producer: else a lost answer could double the message."""
        done: Appended = self._play(calls.append(house, stream, messages, producer, self._patience))
        return done

    def read(self, house: str, stream: str, offset: str = "-1", limit: int | None = None) -> Page:
        page: Page = self._play(calls.read(house, stream, offset, limit, self._patience))
        return page

    def before(self, house: str, stream: str, offset: str = "now", limit: int = 100) -> Page:
        """The last events before an offset; `page.prev` is where to go on backwards, None at the beginning."""
        page: Page = self._play(calls.before(house, stream, offset, limit, self._patience))
        return page

    def head(self, house: str, stream: str) -> Page:
        """Where the tail is and whether it is closed, without any events."""
        page: Page = self._play(calls.head(house, stream, self._patience))
        return page

    def shut(self, house: str, stream: str) -> str:
        """Close the stream for good; its last offset."""
        last: str = self._play(calls.shut(house, stream, self._patience))
        return last

    def delete(self, house: str, stream: str) -> None:
        self._play(calls.delete(house, stream, self._patience))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _play(self, steps: Steps) -> Any:
        answer = Answer(0)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    answer = self._ask(step)
                step = steps.send(answer)
        except StopIteration as done:
            return done.value

    def _ask(self, call: Call) -> Answer:
        try:
            return Answer.of(self._http.request(call.method, call.path, **call.options(self._patience)))
        except httpx.TransportError as error:
            return Answer(0, error=error)


class AsyncStreams:
    """The same for asyncio, and tails."""

    def __init__(self, base_url: str, key: str = "", *, patience: float = 30.0) -> None:
        self._patience = patience
        self._http = httpx.AsyncClient(**calls.connection(base_url, key))

    async def create(self, house: str, stream: str, envelope: bool = True) -> str:
        made: str = await self._play(calls.create(house, stream, envelope, self._patience))
        return made

    async def append(
        self, house: str, stream: str, messages: list[dict[str, Any]], producer: Producer | None = None
    ) -> Appended:
        done: Appended = await self._play(calls.append(house, stream, messages, producer, self._patience))
        return done

    async def read(self, house: str, stream: str, offset: str = "-1", limit: int | None = None) -> Page:
        page: Page = await self._play(calls.read(house, stream, offset, limit, self._patience))
        return page

    async def before(self, house: str, stream: str, offset: str = "now", limit: int = 100) -> Page:
        page: Page = await self._play(calls.before(house, stream, offset, limit, self._patience))
        return page

    async def head(self, house: str, stream: str) -> Page:
        page: Page = await self._play(calls.head(house, stream, self._patience))
        return page

    async def tail(self, house: str, stream: str, offset: str = "now") -> AsyncIterator[Page]:
        """Each page that comes after `offset`, until the stream closes; a lost connection is taken up again."""
        cursor: str | None = None
        while True:
            page: Page = await self._play(calls.poll(house, stream, offset, cursor, self._patience))
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

    async def _play(self, steps: Steps) -> Any:
        answer = Answer(0)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                else:
                    answer = await self._ask(step)
                step = steps.send(answer)
        except StopIteration as done:
            return done.value

    async def _ask(self, call: Call) -> Answer:
        try:
            return Answer.of(await self._http.request(call.method, call.path, **call.options(self._patience)))
        except httpx.TransportError as error:
            return Answer(0, error=error)


_clients: dict[tuple[str, str, float], Streams] = {}


def streams(patience: float = A_JOBS) -> Streams:
    """This process's client, with so much patience, of the server in the settings."""
    from django.conf import settings  # here alone, so that all else in this module runs without settings

    where = settings.STREAMS_URL, settings.STREAMS_KEY, patience
    # Of two threads that ask first, one has made its client in vain; it has no connection yet.
    return _clients.get(where) or _clients.setdefault(where, Streams(*where[:2], patience=patience))


# A forked worker must not speak on its parent's connections.
os.register_at_fork(after_in_child=_clients.clear)

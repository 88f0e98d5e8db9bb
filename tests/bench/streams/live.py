"""How long it takes from sending an append until those who follow the stream have it."""

import asyncio
import statistics
import time

import uvloop

from tests.bench.streams.load import Taken
from tests.bench.streams.servers import Server

EVERY = 0.02  # seconds between appends
WARMING = 10  # appends that are not counted
_SENT = b'"sent":'
_PAD = b"x" * 150


def latency(server: Server, subscribers: int, seconds: float, path: str = "") -> Taken:
    """Milliseconds, the median over all subscribers and appends; on a new stream unless one is named."""
    path = path or server.streams(1) + "0"
    return Taken(statistics.median(uvloop.run(_deliveries(server.port, path, subscribers, seconds))) * 1000)


async def _deliveries(port: int, path: str, subscribers: int, seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    tails = [(await loop.create_connection(lambda: Tail(port, path), "127.0.0.1", port))[1] for _ in range(subscribers)]
    writer = (await loop.create_connection(lambda: Writer(port, path), "127.0.0.1", port))[1]
    async with asyncio.timeout(30):
        await asyncio.gather(*(tail.ready.wait() for tail in tails))
    number = WARMING + int(seconds / EVERY)
    due = time.perf_counter()
    for _ in range(number):
        await writer.append()
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    async with asyncio.timeout(30):
        await asyncio.gather(*(tail.has(number) for tail in tails))
    for each in (writer, *tails):
        each.transport.close()
    assert all(len(tail.took) == number for tail in tails), "an append was delivered twice"
    return [took for tail in tails for took in tail.took[WARMING:]]


class Tail(asyncio.Protocol):
    """One subscriber: when each append reached it."""

    def __init__(self, port: int, path: str) -> None:
        self._request = f"GET {path}?offset=now&live=sse HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        self.ready, self._came = asyncio.Event(), asyncio.Event()
        self.took: list[float] = []
        self._rest = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if b"streamNextOffset" in data:
            self.ready.set()
        # What was sent comes back inside of the event; reads may end anywhere.
        *before, last = (self._rest + data).split(_SENT)
        for part in before[1:]:
            self._note(part, now)
        if before and b"," in last:
            self._note(last, now)
            last = b""
        self._rest = _SENT + last if before and last else last[-len(_SENT) :]

    async def has(self, number: int) -> None:
        """Until so many appends have come."""
        while len(self.took) < number:
            self._came.clear()
            await self._came.wait()

    def _note(self, part: bytes, now: float) -> None:
        self.took.append(now - float(part[: part.index(b",")]))
        self._came.set()


class Writer(asyncio.Protocol):
    """One connection that appends, with the time of sending inside."""

    def __init__(self, port: int, path: str) -> None:
        self._head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self._answered = asyncio.Event()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert data.startswith((b"HTTP/1.1 204", b"HTTP/1.1 200")), data
        self._answered.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._answered.set()

    async def append(self) -> None:
        body = b'{"sent":%.7f,"pad":"%b"}' % (time.perf_counter(), _PAD)
        self._answered.clear()
        assert self.transport, "the server closed the connection"
        self.transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(30):
            await self._answered.wait()

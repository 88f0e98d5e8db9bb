"""What callers ask for on its way into the common order: what gathers while messages are out goes in the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from secrets import token_hex

from streams.refusals import Known, StorageFailed, TooLarge
from streams.storage.batch import Request
from streams.storage.jetstream import OrderedLog, Unconfirmed
from streams.storage.ordering import HEAD, Piece, pack, piece
from streams.terms import Appended

PATIENCE = 10.0  # seconds until a caller hears that nobody has confirmed it
OUT = 4  # messages at once; more would make them small
SMALL = 256 << 10  # bytes of a message, after which the next begins
MOST_WAITING = 64 << 20  # bytes

Asked = tuple[Piece, asyncio.Future[Appended]]


class Proposals:
    """Those of this process. Each is decided once or, if nobody confirmed it in time, once or not at all."""

    def __init__(self, log: OrderedLog, patience: float = PATIENCE) -> None:
        self.writer = token_hex(8)
        self.refusal: tuple[type[Known], str] | None = None  # why nothing may be asked for at the moment
        self._log, self._patience = log, patience
        self._number = 0
        self._waiting: deque[Asked] = deque()
        self._size = 0  # bytes that wait
        self._out: dict[int, list[Asked]] = {}  # not yet decided here
        self._flights: set[asyncio.Task[None]] = set()
        self._reason = "The cluster cannot be reached."

    async def ask(self, request: Request, patience: float | None = None) -> Appended:
        """What this copy has decided, together with all others. Raises a Refusal."""
        if self.refusal:
            why, sentence = self.refusal
            raise why(sentence)
        what = piece(request)
        if what.size + HEAD > self._log.largest:
            raise TooLarge(f"One request may hold {self._log.largest - HEAD} bytes here.")
        if self._size + what.size > MOST_WAITING:
            raise StorageFailed(f"Too much waits for the cluster; nothing was added. {self._reason}")
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        asked = what, future
        self._waiting.append(asked)
        self._size += what.size
        self._send()
        try:
            async with asyncio.timeout(patience or self._patience):
                return await future
        except TimeoutError:
            raise self._unconfirmed(asked) from None

    def decided(self, number: int, outcomes: list[asyncio.Future[Appended]]) -> None:
        """One of ours came in the order, and this came of it. What was numbered before it never will: it goes again."""
        for (_, future), outcome in zip(self._out.pop(number, []), outcomes, strict=False):
            error = outcome.exception()
            if future.done():
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(outcome.result())
        for late in sorted((each for each in self._out if each < number), reverse=True):
            again = self._out.pop(late)
            self._waiting.extendleft(reversed(again))
            self._size += sum(what.size for what, _ in again)
        self._send()

    async def close(self) -> None:
        """Nobody is left waiting."""
        self.refusal = StorageFailed, "The server is stopping; nothing was added."
        for task in self._flights:
            task.cancel()
        for _, future in [*self._waiting, *(each for asked in self._out.values() for each in asked)]:
            if not future.done():
                future.set_exception(StorageFailed("The server stopped before this was confirmed; it may be added."))
        await asyncio.gather(*self._flights, return_exceptions=True)

    def _send(self) -> None:
        while self._waiting and len(self._flights) < OUT:
            batch = self._gather()
            if not batch:
                return
            self._number += 1
            self._out[self._number] = batch
            self._fly(self._number, [what for what, _ in batch])

    def _fly(self, number: int, pieces: list[Piece]) -> None:
        flight = asyncio.create_task(self._publish(number, pieces))
        self._flights.add(flight)
        flight.add_done_callback(self._landed)

    def _gather(self) -> list[Asked]:
        batch: list[Asked] = []
        size = 0
        while self._waiting and (not batch or size + self._waiting[0][0].size < SMALL):
            asked = self._waiting.popleft()
            self._size -= asked[0].size
            if not asked[1].done():  # otherwise whoever asked has gone
                batch.append(asked)
                size += asked[0].size
        return batch

    async def _publish(self, number: int, pieces: list[Piece]) -> None:
        """As often as it takes, while somebody waits for it; stored twice it counts once."""
        payload, pause = pack(self.writer, number, pieces), 0.1
        while number in self._out:
            try:
                await self._log.publish(payload, f"{self.writer}.{number}")
                return
            except Unconfirmed as error:
                self._reason = f"The cluster says: {error}."
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)
            if all(future.done() for _, future in self._out.get(number, [])):
                self._out.pop(number, None)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled():
            flight.result()
            self._send()

    def _unconfirmed(self, asked: Asked) -> StorageFailed:
        if asked in self._waiting:
            self._waiting.remove(asked)
            self._size -= asked[0].size
            return StorageFailed(f"The cluster did not answer in time; nothing was added. {self._reason}")
        return StorageFailed("The cluster did not confirm this in time; it may still be added, once.")

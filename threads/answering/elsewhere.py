"""Waiting for others without losing sight of the answer: a coroutine in a thread of its own, with a loop of its own.

What waits for the network there touches no row; this thread, which does, looks after the answer meanwhile.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

P = TypeVar("P")
T = TypeVar("T")
Tell = Callable[[P], None]
EVERY = 0.1  # seconds between two looks
LEAVE = 1.0  # seconds that whoever is to end has for it


class _Aside(Generic[P, T]):
    """One coroutine, what it told so far, and how it ended."""

    def __init__(self, work: Callable[[Tell[P]], Coroutine[Any, Any, T]]) -> None:
        self.told: queue.SimpleQueue[tuple[P] | None] = queue.SimpleQueue()
        self.result: T | None = None
        self.error: BaseException | None = None
        self._work, self._loop = work, asyncio.new_event_loop()
        self._task: asyncio.Task[T] | None = None
        self._thread = threading.Thread(target=self._run, name="answer elsewhere", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """It is not wanted any more."""
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(LEAVE)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        try:
            self.result = self._loop.run_until_complete(self._all())
        except BaseException as error:  # noqa: BLE001  # passed on to whoever waits
            self.error = error
        finally:
            self._loop.close()
            self.told.put(None)

    async def _all(self) -> T:
        self._task = asyncio.create_task(self._work(lambda piece: self.told.put((piece,))))
        return await self._task


def pieces(work: Callable[[Tell[P]], Coroutine[Any, Any, T]], look: Callable[[], None]) -> Generator[P | None, None, T]:
    """What `work` tells as it goes on, or None where it was silent for a moment; its result is the generator's.

    `look` is called again and again; what it raises ends the work.
    """
    aside = _Aside(work)
    try:
        while True:
            look()
            try:
                piece = aside.told.get(timeout=EVERY)
            except queue.Empty:
                yield None
                continue
            if piece is None:
                break
            yield piece[0]
    finally:
        aside.end()
    if aside.error is not None:
        raise aside.error
    return aside.result  # type: ignore[return-value]  # without an error there is one


def awaited(work: Callable[[], Coroutine[Any, Any, T]], look: Callable[[], None]) -> T:
    """What it comes to, for whoever waits for nothing but that."""
    waiting = pieces(lambda _tell: work(), look)
    while True:
        try:
            next(waiting)
        except StopIteration as done:
            result: T = done.value
            return result

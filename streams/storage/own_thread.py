"""A thread of its own for what blocks: under uvloop, handing work to a pool takes half as long again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

Work = tuple[Callable[[], None], asyncio.Future[None]]


class OwnThread:
    """Does one thing after another, and tells the event loop that asked."""

    def __init__(self, name: str) -> None:
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Done when `work` has returned; it may only raise `OSError` and what is a bug."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work.put((work, done))
        return done

    def stop(self) -> None:
        """When what was asked for is done."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._work.get()) is not None:
            work, done = asked
            error = None
            try:
                work()
            except BaseException as raised:  # noqa: BLE001  # whoever waits has to hear of it, whatever it is
                error = raised
            done.get_loop().call_soon_threadsafe(_tell, done, error)


def _tell(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)

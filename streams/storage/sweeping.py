"""Sweeping: streams whose time is over go, also those that nobody asks for any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from streams.refusals import Refusal
from streams.storage.files import FOLDERS
from streams.storage.store import Store

log = logging.getLogger(__name__)
ROUND = 3600.0  # seconds in which each stream is looked at once
PAUSE = 0.005  # seconds between two that may have ended, each of which is read from its files


class Sweep:
    """Goes through the folders of a store, one at a time, until it is told to stop."""

    def __init__(self, store: Store, seconds: float = ROUND) -> None:
        self._store, self._pause = store, seconds / (len(FOLDERS) + 1)
        self._task = asyncio.create_task(self._go())

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _go(self) -> None:
        while True:
            for folder in [None, *FOLDERS]:
                await asyncio.sleep(self._pause)
                try:
                    found = await self._store.mortal_in(folder) if folder else self._store.mortal_waiting()
                    await self._look_at(found)
                except (OSError, Refusal) as error:
                    log.error("The streams in %s could not be swept: %s", folder or "memory", error)

    async def _look_at(self, names: Iterable[str]) -> None:
        for name in names:
            await self._store.find(name)
            await asyncio.sleep(PAUSE)

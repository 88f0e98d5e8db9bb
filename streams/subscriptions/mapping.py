"""A mapping that lasts, kept in the store as a stream of its own: each message changes some of it.

There are two places for it, NAME/0 and NAME/1. When many messages have come together, everything is written anew, as
the creation of the other place with a higher round, and the old one goes; after a crash in between, the higher round
counts.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import Any

import orjson

from streams.offsets import START, Offset
from streams.refusals import Refusal, TailMoved
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.terms import Append, Settings

log = logging.getLogger(__name__)
MOST_MESSAGES = 500  # then it is written anew
TOGETHER = 1000  # entries of one message when everything is written
ANOTHER = "Somebody else writes this, too."
ROUND = ""  # the entry that says which writing this is; nothing else has no name


class StoredMapping:
    """JSON by texts. There is one writer: a second one's changes are refused. A change is on disk before it shows.

    After a change that failed it `is_doubtful` whether it happened all the same, until everything is loaded again.
    """

    def __init__(self, store: Store, name: str, most: int = MOST_MESSAGES) -> None:
        self.values: dict[str, Any] = {}
        self._store, self._name, self._most = store, name, most
        self._slot, self._messages = 0, 0
        self._stream: StreamLog | None = None
        self._seen: set[str] = set()  # incarnations of what was read or written here: nothing else is dropped
        self.is_doubtful = False
        self._tail = START  # where the stream has to end, if nobody else writes

    async def load(self) -> None:
        """What was kept; nothing if nothing was."""
        self.values, self._stream = {}, None
        self._seen.clear()
        for slot in (0, 1):
            stream = await self._store.find(self._place(slot))
            if stream is None:
                continue
            self._seen.add(stream.settings.incarnation)
            messages, tail = await _messages(self._store, stream)
            values: dict[str, Any] = {}
            for message in messages:
                _fold(values, message)
            if self._stream is None or values.get(ROUND, 0) > self.values.get(ROUND, 0):
                self.values, self._slot, self._stream, self._messages = values, slot, stream, len(messages)
                self._tail = tail
        self.is_doubtful = False

    async def change(self, changes: dict[str, Any]) -> None:
        """Set what is given, and take out what is given as None. Raises a refusal."""
        self.is_doubtful = True
        if self._stream is None or self._messages >= self._most:
            await self._write_anew(changes)
        else:
            append = Append([orjson.dumps(changes)], expected=self._tail)
            self._tail = (await self._store.append(self._stream, append)).next
            self._messages += 1
            _fold(self.values, changes)
        self.is_doubtful = False

    async def remove(self) -> None:
        for slot in (0, 1):
            if await self._store.find(self._place(slot)):
                await self._store.delete(self._place(slot))
        self.values, self._stream = {}, None

    async def _write_anew(self, changes: dict[str, Any]) -> None:
        there = [await self._store.find(self._place(slot)) for slot in (0, 1)]
        is_moved = self._stream is not None and self._stream.tail != self._tail
        if is_moved or not self._seen.issuperset(stream.settings.incarnation for stream in there if stream):
            raise TailMoved(ANOTHER)
        values = dict(self.values)
        _fold(values, changes)
        values[ROUND] = self.values.get(ROUND, 0) + 1
        before, slot = self._stream, 1 - self._slot
        if there[slot]:
            await self._store.delete(self._place(slot))
        each = iter(values.items())
        parts = iter(lambda: dict(islice(each, TOGETHER)), {})
        messages = [orjson.dumps(part) for part in parts]
        made = await self._store.create(self._place(slot), Settings("application/json"), Append(messages))
        if made.duplicate:
            raise TailMoved(ANOTHER)
        self._tail = made.next
        self.values, self._slot, self._messages = values, slot, 0
        self._stream = await self._store.find(self._place(slot))
        if self._stream:
            self._seen.add(self._stream.settings.incarnation)
        if before:
            try:
                await self._store.delete(before.name)
            except Refusal as refusal:
                log.warning("%s is left over until it is written anew: %s", before.name, refusal)

    def _place(self, slot: int) -> str:
        return f"{self._name}/{slot}"


def _fold(values: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value


async def _messages(store: Store, stream: StreamLog) -> tuple[list[dict[str, Any]], Offset]:
    """All of them, and where they end."""
    found: list[dict[str, Any]] = []
    at, is_more = START, True
    while is_more:
        page = await store.read(stream, at)
        found += orjson.loads(b"[" + page.data + b"]")
        at, is_more = page.end, not page.up_to_date
    return found, at

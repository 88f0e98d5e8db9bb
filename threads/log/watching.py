"""Threads as this process watches them: one reader for each, however many look on.

It hears the bell, reads what is new once, and has it rendered and encoded once. Whoever looks on takes each frame from
where they are, at their own pace: nothing is queued for them. Whoever falls behind what is kept here reads on by
themselves, a page at a time. The door is asked about all of them together.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Protocol

from django.conf import settings
from redis.exceptions import RedisError

from streams.bell import hear
from streams.calls import NoSuchStream
from streams.client import A_PAGES, AsyncStreams, StreamError
from streams.wire import Caller
from threads.log.frames import Frame, Recent

logger = logging.getLogger(__name__)
AT_ONCE = 200  # events of one frame
LOOK = 2.0  # seconds after which a reader looks without having been rung for
ASK = 0.75  # seconds after which the door is asked again about everybody who looks on
RECENT = 32 << 20  # characters of frames that are kept, of all threads together
BEHIND = 8  # pages at a time are read for those who have fallen behind, of all threads together
NOTHING = "-1"  # where a stream begins


class Door(Protocol):
    """Who may look on; see `streams.door`."""

    async def still(self, caller: Caller, house: str, *, since: float | None = None) -> bool:
        """Whether they may, as of that moment or later."""
        ...


class Watcher(Protocol):
    """Somebody who looks on. Nobody waits for them when they are told something."""

    caller: Caller

    def no_longer(self) -> None:
        """They may not look on any more."""
        ...

    def cut_off(self) -> None:
        """Nobody reads for them any more; they may come again."""
        ...


class Hall:
    """Everything that is watched in this process, as long as somebody does."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.recent = Recent(RECENT)
        self._watched: dict[tuple[str, str], Watched] = {}

    @property
    def is_empty(self) -> bool:
        return not self._watched

    @contextlib.asynccontextmanager
    async def watching(self, house_id: str, stream_id: str) -> "AsyncIterator[Watched]":
        """The thread's reader, which knows where the stream ends."""
        if not self._watched:
            self._open()
        watched = self._watched.get((house_id, stream_id))
        if watched is None or watched.is_broken:
            watched = self._watched[house_id, stream_id] = Watched(self, house_id, stream_id)
        watched.guests += 1
        try:
            await asyncio.shield(watched.ready)
            yield watched
        finally:
            watched.guests -= 1
            if not watched.guests:
                await self._without(watched)

    async def _without(self, watched: "Watched") -> None:
        key = watched.house_id, watched.stream_id
        if self._watched.get(key) is watched:
            del self._watched[key]
        closing = [watched.stop(), *([] if self._watched else self._close())]
        await asyncio.gather(*closing)

    def _open(self) -> None:
        self.streams = AsyncStreams(settings.STREAMS_URL, settings.STREAMS_KEY, patience=A_PAGES)
        self.behind = asyncio.Semaphore(BEHIND)
        self._asking = asyncio.create_task(self._ask_again())

    def _close(self) -> list[Coroutine[Any, Any, None]]:
        self._asking.cancel()
        return [self.streams.close()]

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(ASK)
            houses = defaultdict(list)
            for watched in self._watched.values():
                houses[watched.house_id].append(watched)
            asking = [self._ask_about(house_id, all_of_it) for house_id, all_of_it in houses.items()]
            for failed in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(failed, Exception):  # this one must go on asking: nobody else puts anybody out
                    logger.error("whoever may look on could not be told so", exc_info=failed)

    async def _ask_about(self, house_id: str, watched: "list[Watched]") -> None:
        since = time.monotonic()
        try:
            for watcher in [watcher for each in watched for watcher in each.watchers]:
                if not await self._door.still(watcher.caller, house_id, since=since):
                    watcher.no_longer()
        except Exception:  # whatever it was: without an answer nobody looks on, and the other houses are not to suffer
            logger.exception("nobody can say who may look on in house %s", house_id)
            for each in watched:
                each.cut_off()


class Watched:
    """One thread's stream, and everybody in this process who looks on."""

    def __init__(self, hall: Hall, house_id: str, stream_id: str) -> None:
        self.house_id, self.stream_id, self.guests = house_id, stream_id, 0
        self.watchers: set[Watcher] = set()
        self.tail = ""  # as far as is known: nothing, while nobody could say
        self.is_broken = False
        self._promised = ""  # where it ends, by the bell
        self._hall = hall
        self._rung, self._grown, self._listening = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._reads: dict[str, asyncio.Task[Frame | None]] = {}
        self.ready = self._going(self._begin())
        self._tasks = [self.ready, self._going(self._listen()), self._going(self._follow())]

    @contextlib.contextmanager
    def seen_by(self, watcher: Watcher) -> Iterator[None]:
        """As long as somebody looks on."""
        self.watchers.add(watcher)
        try:
            yield
        finally:
            self.watchers.discard(watcher)

    def credentials(self) -> set[str]:
        return {watcher.caller.credential for watcher in self.watchers}

    async def frames(self, cursor: str) -> AsyncIterator[Frame]:
        """Everything after the cursor, as it comes."""
        while True:
            if cursor >= self.tail:
                await self._grown.wait()
                continue
            frame = self._hall.recent.find(self.stream_id, cursor)
            with contextlib.suppress(StreamError):
                frame = frame or await self._read(cursor)
            if frame is None:  # the page was given what is no place in this stream, or nobody answers
                await asyncio.sleep(LOOK)
                continue
            cursor = frame.end
            yield frame

    def cut_off(self) -> None:
        for watcher in list(self.watchers):
            watcher.cut_off()

    async def stop(self) -> None:
        tasks = [*self._tasks, *self._reads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # The reader

    async def _begin(self) -> None:
        """Know where the stream ends, once every ring after that will be heard."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._listening.wait()
        with contextlib.suppress(StreamError):
            await self._find_tail()

    async def _listen(self) -> None:
        while True:
            try:
                await hear(self.stream_id, self._listening.set, self._heard)
            except (RedisError, OSError) as error:
                if (own := asyncio.current_task()) and own.cancelling():  # it came in place of the cancellation
                    raise asyncio.CancelledError from error
                logger.debug("no bell is heard, stream %s is looked at instead: %s", self.stream_id, error)
            await asyncio.sleep(LOOK)

    def _heard(self, upto: str) -> None:
        self._promised = max(upto, self._promised)
        self._rung.set()

    async def _follow(self) -> None:
        await self.ready
        while True:
            if await self._is_rung_for():
                with contextlib.suppress(StreamError):
                    await self._read_to_tail()

    async def _is_rung_for(self) -> bool:
        """Whether what is rung for was not read yet; without a ring it may be, as rings are lost."""
        try:
            async with asyncio.timeout(LOOK):
                await self._rung.wait()
        except TimeoutError:
            return True
        self._rung.clear()
        return self._promised > self.tail

    async def _read_to_tail(self) -> None:
        if not self.tail:
            await self._find_tail()
        while (frame := await self._read(self.tail)) and not frame.is_last:
            pass

    async def _find_tail(self) -> None:
        try:
            self._reaches((await self._hall.streams.head(self.house_id, self.stream_id)).next)
        except NoSuchStream:  # nothing was told yet
            self._reaches(NOTHING)

    def _reaches(self, offset: str) -> None:
        if offset > self.tail:
            self.tail = offset
            self._grown.set()  # whoever waits goes on from here;
            self._grown = asyncio.Event()  # whoever has seen it all waits for the next

    # What it reads

    async def _read(self, cursor: str) -> Frame | None:
        """What comes after the cursor; None for nothing yet. Of those who ask at once, one does it for all."""
        if cursor not in self._reads:
            self._reads[cursor] = task = asyncio.create_task(self._load(cursor))
            task.add_done_callback(lambda done: self._loaded(cursor, done))
        return await asyncio.shield(self._reads[cursor])

    async def _load(self, cursor: str) -> Frame | None:
        async with self._hall.behind if cursor < self.tail else contextlib.nullcontext():
            page = await self._hall.streams.read(self.house_id, self.stream_id, cursor, limit=AT_ONCE)
            if not page.events:
                return None
            frame = await Frame.of(self.house_id, page)
        self._hall.recent.keep(self.stream_id, cursor, frame)
        self._reaches(frame.end)
        return frame

    def _loaded(self, cursor: str, task: "asyncio.Task[Frame | None]") -> None:
        self._reads.pop(cursor, None)
        if not task.cancelled():
            task.exception()  # whoever still waits gets it

    def _going(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("the reader of stream %s ends", self.stream_id, exc_info=error)
        self.is_broken = True
        self.cut_off()

"""The live thread page: a websocket that is sent what comes after its cursor, as long as whoever opened it may read.

What is sent is read through the one door, rendered and encoded once for everybody in this process who watches the
thread (`threads.log.watching`).
"""

import asyncio
import contextlib
import logging
import re
import time
from functools import partial

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from houses.measures import WATCHERS
from houses.tenancy import inside
from streams.door import HouseDoor
from streams.refusals import Refusal
from streams.wire import Caller
from threads.door import bits_on
from threads.log.watching import NOTHING, Hall
from threads.models import Thread

logger = logging.getLogger(__name__)
HOLDS = 1.0  # seconds that an answer of the door may be old when something is sent
NOT_YOURS, GONE, TRY_AGAIN = 4404, 4403, 1012  # close codes
SEQ = re.compile(r"-1|now|[0-9]{16}_[0-9]{16}")
ID = re.compile(r"[\w-]+", re.ASCII)

door = HouseDoor(bits_on)
hall = Hall(door)


class LiveThread(AsyncWebsocketConsumer):
    """Sends `{"events": [{"seq", "type", "html"}]}` for everything after the cursor, from `?after=` on."""

    channel_layer_alias = ""  # none of its own: one listener hears the bell for all

    async def connect(self) -> None:
        where = self.scope["url_route"]["kwargs"]
        asked = self.scope["query_string"].decode(errors="replace")
        query = dict(part.split("=", 1) for part in asked.split("&") if "=" in part)
        self.house_id, cursor = where["house"], query.get("after", NOTHING)
        plain = ID.fullmatch(self.house_id) and ID.fullmatch(where["thread"]) and SEQ.fullmatch(cursor)
        caller = await self._caller(where["thread"]) if plain else None
        if caller is None:
            await self.accept()  # a browser learns a close code only from a socket that was open
            await self.close(NOT_YOURS)
            return
        self.caller = caller
        async with contextlib.AsyncExitStack() as leaving:
            self.watched = await leaving.enter_async_context(hall.watching(self.house_id, caller.stream))
            if cursor == "now":  # settled before the socket is open: whatever happens from then on is seen
                cursor = self.watched.tail or NOTHING  # rather too much than too little
            await self.accept()
            self.leaving = leaving.pop_all()
        self.tasks = [asyncio.create_task(self._read_on(cursor))]
        WATCHERS.inc()

    async def disconnect(self, code: int) -> None:
        if not hasattr(self, "leaving"):
            return
        WATCHERS.dec()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.leaving.aclose()

    def no_longer(self) -> None:
        self._end(GONE)

    def cut_off(self) -> None:
        self._end(TRY_AGAIN)

    def _end(self, code: int) -> None:
        """Close it without waiting: a socket whose other side takes nothing does not close either."""
        for task in self.tasks:
            task.cancel()
        self.tasks.append(asyncio.create_task(self._bye(code)))

    async def _read_on(self, cursor: str) -> None:
        try:
            with self.watched.seen_by(self):
                await self._send_from(cursor)
        except OSError:  # the other side has gone in the middle of it
            await self._bye(TRY_AGAIN)
        except Exception:  # whatever it was: the page connects again and reads on from where it is
            logger.exception("a live page of stream %s ends", self.watched.stream_id)
            await self._bye(TRY_AGAIN)

    async def _send_from(self, cursor: str) -> None:
        await door.still(self.caller, self.house_id)  # asked about with all the others from now on
        async for frame in self.watched.frames(cursor):
            text = await frame.text_for(self.caller.credential, self.watched.credentials)
            if not await door.still(self.caller, self.house_id, since=time.monotonic() - HOLDS):
                await self._bye(GONE)
                return
            await self.send(text_data=text)

    async def _bye(self, code: int) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the other side has gone already
            await self.close(code)

    async def _caller(self, thread_id: str) -> Caller | None:
        """Whoever may look on. Nobody unknown learns how long it takes to find out that there is no such thread."""
        try:
            known = await door.recognise({**self.scope, "method": "GET", "house": self.house_id})
            stream_id = None if known.internal else await _stream_of(self.house_id, thread_id)
            return await door.let_in(known, stream_id, "GET") if stream_id else None
        except Refusal:
            return None


@partial(database_sync_to_async, thread_sensitive=False)
def _stream_of(house_id: str, thread_id: str) -> str | None:
    with inside(house_id):
        return Thread.objects.filter(pk=thread_id).values_list("stream_id", flat=True).first()

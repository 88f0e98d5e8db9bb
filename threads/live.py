"""The live thread page: a websocket that reads the thread's stream from its own cursor, whenever the bell rings.

The bell carries no content; what is sent is read through the one door, rendered once per process and event, and only
to somebody who may read the thread at that moment.
"""

import asyncio
import contextlib
import logging
import re
from functools import partial
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

from houses.agents import Agent
from houses.measures import WATCHERS
from houses.tenancy import inside
from streams.bell import group_of
from streams.client import AsyncStreams, StreamError
from streams.door import HouseDoor
from streams.refusals import Refusal
from streams.wire import Caller
from threads.door import bits_on
from threads.models import Thread
from threads.rendering import fragment, with_names

logger = logging.getLogger(__name__)
AT_ONCE = 200  # events of one frame
LOOK = 2.0  # seconds after which one looks without having been rung for
NOT_YOURS, GONE, TRY_AGAIN = 4404, 4403, 1012  # close codes
SEQ = re.compile(r"-1|now|[0-9]{16}_[0-9]{16}")
ID = re.compile(r"[\w-]+", re.ASCII)

door = HouseDoor(bits_on)


class LiveThread(AsyncJsonWebsocketConsumer):
    """Sends `{"events": [{"seq", "type", "html"}]}` for everything after the cursor, from `?after=` on."""

    async def connect(self) -> None:
        where = self.scope["url_route"]["kwargs"]
        asked = self.scope["query_string"].decode(errors="replace")
        query = dict(part.split("=", 1) for part in asked.split("&") if "=" in part)
        self.house_id, self.cursor = where["house"], query.get("after", "-1")
        plain = ID.fullmatch(self.house_id) and ID.fullmatch(where["thread"]) and SEQ.fullmatch(self.cursor)
        stream_id = await _stream_of(self.house_id, where["thread"]) if plain else None
        caller = await self._caller(stream_id) if stream_id else None
        if caller is None or stream_id is None:
            await self.accept()  # a browser learns a close code only from a socket that was open
            await self.close(NOT_YOURS)
            return
        self.caller, self.stream_id, self.rung = caller, stream_id, asyncio.Event()
        self.streams = AsyncStreams(settings.STREAMS_URL, settings.STREAMS_KEY)
        await self.channel_layer.group_add(group_of(self.stream_id), self.channel_name)
        if self.cursor == "now":  # settled before the socket is open: whatever happens from then on is seen
            self.cursor = await self._end()
        await self.accept()
        self.rung.set()
        self.reading = asyncio.create_task(self._read_on())
        WATCHERS.inc()

    async def disconnect(self, code: int) -> None:
        if not hasattr(self, "reading"):
            return
        WATCHERS.dec()
        self.reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.reading
        await self.streams.close()
        await self.channel_layer.group_discard(group_of(self.stream_id), self.channel_name)

    async def stream_grew(self, message: dict[str, Any]) -> None:
        """The bell."""
        self.rung.set()

    async def _read_on(self) -> None:
        try:
            await self._read_until_gone()
        except Exception:  # whatever it was: the page connects again and reads on from where it is
            logger.exception("a live page of stream %s ends", self.stream_id)
            await self.close(TRY_AGAIN)

    async def _read_until_gone(self) -> None:
        while True:
            # A lost ring must not leave somebody behind for long, nor whoever lost the right on the line.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.rung.wait(), timeout=LOOK)
            self.rung.clear()
            if not await door.still(self.caller, self.house_id):
                await self.close(GONE)
                return
            with contextlib.suppress(StreamError):
                await self._send_new()

    async def _send_new(self) -> None:
        while True:
            page = await self.streams.read(self.house_id, self.stream_id, self.cursor, limit=AT_ONCE)
            if page.events:
                rendered = await _rendered(self.house_id, page.events, str(self.caller.agent_id))
                await self.send_json({"events": rendered})
                self.cursor = page.events[-1]["seq"]
            if page.up_to_date or not page.events:
                return

    async def _end(self) -> str:
        try:
            return (await self.streams.head(self.house_id, self.stream_id)).next
        except StreamError:  # nothing was told yet, or nobody answers: rather too much than too little
            return "-1"

    async def _caller(self, stream_id: str) -> Caller | None:
        try:
            caller = await door.admit({**self.scope, "method": "GET", "house": self.house_id, "stream": stream_id})
        except Refusal:
            return None
        return None if caller.internal else caller


@partial(database_sync_to_async, thread_sensitive=False)
def _stream_of(house_id: str, thread_id: str) -> str | None:
    with inside(house_id):
        return Thread.objects.filter(pk=thread_id).values_list("stream_id", flat=True).first()


@partial(database_sync_to_async, thread_sensitive=False)
def _rendered(house_id: str, events: list[dict[str, Any]], agent_id: str) -> list[dict[str, str]]:
    def names(ids: set[str]) -> dict[str, str]:
        return Thread.objects.called(ids, Agent.objects.get(pk=agent_id))

    with inside(house_id, agent_id):
        rendered = [(event, with_names(fragment(event, house_id), names)) for event in events]
        return [{"seq": event["seq"], "type": event["type"], "html": html} for event, html in rendered]

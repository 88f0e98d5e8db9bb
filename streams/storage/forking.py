"""A fork: a stream that borrows the beginning of another (Durable Streams protocol, 4.2)."""

from __future__ import annotations

from dataclasses import replace

from streams.offsets import Offset
from streams.refusals import Dropped, Malformed, WrongType
from streams.storage.log import StreamLog
from streams.storage.spans import Spans
from streams.terms import Fork, Settings


class Forking:
    """Settles where a fork begins, and what it has to copy because it begins within a message."""

    def __init__(self, spans: Spans, source: StreamLog) -> None:
        self._spans, self._source = spans, source
        self.borrowed: list[bytes] = []

    async def settings(self, asked: Settings, at: Offset, sub: int) -> Settings:
        """Those of the fork. Raises `Malformed` for a place that is not in the source, `WrongType` for another type."""
        source = self._source.settings
        if asked.content_type and asked.base_type != source.base_type:
            raise WrongType(f"The stream to fork from holds {source.base_type}.")
        if not await self._is_there(at):
            raise Malformed("The stream to fork from does not have that offset.")
        if sub:
            at = await self._beyond(at, sub)
        forked = replace(
            asked,
            content_type=asked.content_type or source.content_type,
            enveloped=source.enveloped,
            fork=Fork(self._source.name, source.incarnation, *at, sub),
        )
        if asked.ttl is None and asked.expires_at is None:
            forked = replace(forked, ttl=source.ttl, expires_at=source.expires_at)
        return forked

    async def _is_there(self, at: Offset) -> bool:
        try:
            return await self._spans.holds(self._source, at)
        except Dropped:
            return False

    async def _beyond(self, at: Offset, sub: int) -> Offset:
        source = self._source
        if source.is_json:
            if at.messages + sub > source.tail.messages:
                raise Malformed("The sub-offset goes beyond the end of the stream.")
            return await self._spans.at(source, at.messages + sub)
        message, end = await self._spans.forward(source, at, 1, 1)
        if sub > len(message):
            raise Malformed("The sub-offset goes beyond the next message of the stream.")
        if sub == len(message):
            return end
        self.borrowed = [message[:sub]]
        return at

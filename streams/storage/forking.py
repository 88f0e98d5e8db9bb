"""A fork: a stream that borrows the beginning of another (Durable Streams protocol, 4.2)."""

from __future__ import annotations

from dataclasses import replace

from streams.offsets import Offset
from streams.refusals import Dropped, Malformed, WrongType
from streams.storage.log import StreamLog
from streams.storage.spans import Spans
from streams.terms import Fork, Settings


async def forked(
    spans: Spans, source: StreamLog, asked: Settings, at: Offset, sub: int
) -> tuple[Settings, list[bytes]]:
    """The settings of a fork at that place, and what it has to copy because it begins within a message.

    Raises `Malformed` for a place that is not in the source, `WrongType` for another type.
    """
    origin = source.settings
    if asked.content_type and asked.base_type != origin.base_type:
        raise WrongType(f"The stream to fork from holds {origin.base_type}.")
    if not await _is_there(spans, source, at):
        raise Malformed("The stream to fork from does not have that offset.")
    at, borrowed = await _beyond(spans, source, at, sub) if sub else (at, [])
    is_mortal = asked.is_mortal
    settings = replace(
        asked,
        content_type=asked.content_type or origin.content_type,
        enveloped=origin.enveloped,
        fork=Fork(source.name, origin.incarnation, *at, sub),
        ttl=asked.ttl if is_mortal else origin.ttl,
        expires_at=asked.expires_at if is_mortal else origin.expires_at,
    )
    return settings, borrowed


async def _is_there(spans: Spans, source: StreamLog, at: Offset) -> bool:
    try:
        return await spans.holds(source, at)
    except Dropped:
        return False


async def _beyond(spans: Spans, source: StreamLog, at: Offset, sub: int) -> tuple[Offset, list[bytes]]:
    if source.is_json:
        if at.messages + sub > source.tail.messages:
            raise Malformed("The sub-offset goes beyond the end of the stream.")
        return await spans.at(source, at.messages + sub), []
    message, end = await spans.forward(source, at, 1, 1)
    if sub > len(message):
        raise Malformed("The sub-offset goes beyond the next message of the stream.")
    return (end, []) if sub == len(message) else (at, [message[:sub]])

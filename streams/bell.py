"""The bell: the channel layer says that there is something new in a stream, never what."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from channels.layers import get_channel_layer
from redis.exceptions import RedisError

PARTING = 2.0  # seconds, at most, to leave a group; the layer forgets whoever is silent anyway


def group_of(stream_id: str) -> str:
    """The channel-layer group of a stream's listeners."""
    return f"stream.{stream_id}"


async def ring(house_id: str, stream_id: str, upto: str) -> None:
    """Tell whoever listens that the stream now goes up to an offset. Lost rings are harmless: readers read."""
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(group_of(stream_id), {"type": "stream.grew", "upto": upto})


async def hear(stream_id: str, listening: Callable[[], None], heard: Callable[[str], None]) -> None:
    """Call `listening` once rings are heard, and `heard` with the offset of each, until cancelled.

    Raises what the channel layer raises: with Redis that is `RedisError` or `OSError`.
    """
    layer = get_channel_layer()
    if layer is None:
        return
    channel = await layer.new_channel()  # it goes when whoever receives from it is cancelled
    await layer.group_add(group_of(stream_id), channel)
    try:
        listening()
        while True:
            heard((await layer.receive(channel))["upto"])
    finally:
        # Whoever is cancelled must end, whatever the layer has to say to it.
        with suppress(RedisError, OSError):
            async with asyncio.timeout(PARTING):
                await layer.group_discard(group_of(stream_id), channel)

"""The bell: the channel layer says that there is something new in a stream, never what."""

from channels.layers import get_channel_layer


def group_of(stream_id: str) -> str:
    """The channel-layer group of a stream's listeners."""
    return f"stream.{stream_id}"


async def ring(house_id: str, stream_id: str, upto: str) -> None:
    """Tell whoever listens that the stream now goes up to an offset. Lost rings are harmless: readers read."""
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(group_of(stream_id), {"type": "stream.grew", "upto": upto})

"""What is told of a chunk of output, in portions that every stream takes; the same ones for whoever takes over."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from threads.following.hiding import Told
from threads.runtimes.saying import cut

MOST_EVENTS, MOST_BYTES = 1000, 768 * 1024  # of one portion
LONGEST = 512 * 1024  # bytes of one event


def portions(told: Iterable[Told]) -> Iterator[list[Told]]:
    """In their order; an event that is too long for any stream has its texts cut."""
    portion: list[Told] = []
    size = 0
    for kind, said in told:
        payload, length = _fitting(said)
        if portion and (len(portion) == MOST_EVENTS or size + length > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append((kind, payload))
        size += length
    if portion:
        yield portion


def _fitting(payload: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """As text it may be six times as long as its characters are many: what counts is how it is sent."""
    room = LONGEST
    while (length := len(orjson.dumps(payload))) > LONGEST and room > 1:
        room //= 2
        payload = {name: _shortened(value, room) for name, value in payload.items()}
    return payload, length


def _shortened(value: Any, room: int) -> Any:
    if isinstance(value, str):
        return cut(value, room)[0]
    if isinstance(value, dict):
        return {name: _shortened(one, room) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one, room) for one in value]
    return value

"""The one way in for events: announced with the row change they tell of, relayed to the stream exactly once, in order.

`announce` writes a row in the caller's transaction. After the commit `relay` appends what waits with an idempotent
producer whose sequence is the row's position in its stream, and deletes what the server has; a crash in between is
mended by the next relay, because the server knows the sequence (Durable Streams protocol, 5.2.1).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import orjson
from django.db import connection, transaction

from houses.agents import Agent
from houses.refusals import TooLarge
from houses.tenancy import inside, need_not_last
from streams.client import Producer, StreamError, Streams, streams
from streams.events import Event
from streams.models import Outbox, Stream
from streams.wire import MOST_MESSAGE

logger = logging.getLogger(__name__)
PRODUCER = "outbox"
AT_ONCE = 200  # rows read in one go
ROOM = MOST_MESSAGE - 4096  # bytes of a payload; the rest is for the envelope
MOST_MISSED = 3  # streams that cannot be reached, in one sweep
PATIENCE = 0.5  # seconds: whoever waits for a commit does not wait for a stream server to come back, the sweep does


class Storied(Protocol):
    """Anything with a stream of its own."""

    house_id: str
    stream_id: str


def open_stream(house_id: str) -> str:
    """A new stream's address. The log itself is made when the first event is relayed."""
    return str(Stream.objects.create(house_id=house_id).pk)


def announce(subject: Storied, event: Event, *, by: Agent, waits: bool = True) -> None:
    """Say that something happened. Needs the transaction of the change it tells of.

    With `waits=False` nobody waits behind another who relays that stream: the sweep brings what is left.
    """
    payload = _fitting(event)
    position = _next_position(subject.stream_id)
    Outbox.objects.create(
        house_id=subject.house_id,
        stream_id=subject.stream_id,
        position=position,
        author=by,
        kind=event.kind,
        payload=payload,
    )
    later = (subject.house_id, subject.stream_id)
    # However much one transaction announces, one relay brings it all.
    if not any(getattr(call, "args", None) == later for _, call, *_ in connection.run_on_commit):
        transaction.on_commit(partial(_relay_now, *later, waits=waits))


def _fitting(event: Event) -> dict[str, Any]:
    """The payload, if the stream can take it: one that is refused later would hold up all that come after it."""
    payload = event.payload
    if (size := len(orjson.dumps(payload))) > ROOM:
        raise TooLarge(f"An event of {size / 1e6:.1f} MB is too long for a stream; put the rest into a file.")
    return payload


def _next_position(stream_id: str) -> int:
    """One statement, whose row lock orders the announcements of concurrent transactions as they commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE streams SET announced = announced + 1 WHERE id = %s RETURNING announced - 1", [stream_id]
        )
        found = cursor.fetchone()
    if found is None:
        raise Stream.DoesNotExist(f"There is no stream {stream_id} in this house.")
    return int(found[0])


def relay(house_id: str, stream_id: str, *, waits: bool = True) -> int:
    """Bring what waits to the stream; returns how many events that were. Raises `StreamError`."""
    told = 0
    with _alone(stream_id, waits=waits) as is_ours:
        more = is_ours
        while more:
            waiting = _waiting(house_id, stream_id)
            for row in waiting:
                _append(house_id, stream_id, row)
            if waiting:
                with inside(house_id):
                    need_not_last()  # the server knows what it has: relayed again, it is a duplicate
                    Outbox.objects.filter(stream_id=stream_id, position__lte=waiting[-1].position).delete()
            told += len(waiting)
            more = len(waiting) == AT_ONCE  # whoever announced since then is waiting for our lock
    return told


def is_behind(stream_id: str) -> bool:
    """Whether something that was announced has not reached the stream yet. Ask inside the house."""
    return Outbox.objects.filter(stream_id=stream_id).exists()


def sweep() -> None:
    """Relay whatever was left behind by a crash, in every house."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT house_id, stream_id FROM outbox_left_behind()")
        behind = cursor.fetchall()
    missed = 0
    for house_id, stream_id in behind:
        missed += not _relay_now(house_id, stream_id)
        if missed >= MOST_MISSED:  # nobody is there: other sweeps are not to wait for as many streams as there are
            return


def _relay_now(house_id: str, stream_id: str, *, waits: bool = True) -> bool:
    """False if the stream could not be reached."""
    if connection.in_atomic_block:  # a test's transaction: what is not committed is not told
        return True
    try:
        relay(house_id, stream_id, waits=waits)
    except StreamError as error:
        logger.warning("stream %s cannot be reached, its events wait: %s", stream_id, error)
        return error.status != 0
    return True


def _waiting(house_id: str, stream_id: str) -> list[Outbox]:
    with inside(house_id):
        return list(Outbox.objects.filter(house_id=house_id, stream_id=stream_id).order_by("position")[:AT_ONCE])


def _append(house_id: str, stream_id: str, row: Outbox) -> None:
    if row.position == 0:
        _streams().create(house_id, stream_id)
    event: dict[str, Any] = {
        "type": row.kind,
        "payload": row.payload,
        "author_agent_id": str(row.author_id),
        "ts": row.announced_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    _streams().append(house_id, stream_id, [event], Producer(PRODUCER, epoch=0, seq=row.position))


def _streams() -> Streams:
    return streams(PATIENCE)


@contextmanager
def _alone(stream_id: str, *, waits: bool) -> Iterator[bool]:
    """One relay per stream at a time, everywhere; the lock goes with the connection if this process dies.

    False for whoever does not wait while another is at it.
    """
    with connection.cursor() as cursor:
        if waits:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 1))", [stream_id])
        else:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 1))", [stream_id])
            if not cursor.fetchall()[0][0]:
                yield False
                return
        try:
            yield True
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 1))", [stream_id])

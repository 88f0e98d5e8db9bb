"""One order of proposals for several copies of a store, kept by a JetStream cluster (nats-server 2.9 or later).

A stream of JetStream (`ARBE`, on three nodes where there are three, in files) holds every proposal ever made, so that a
copy that begins with nothing comes to hold the same as all others. Nothing is taken out of it: what was deleted may
still be what a fork borrows from, and proposals of several streams share a message. Where the log has become too long,
let it end (`nats stream edit ARBE --max-age`) and begin new copies with a copy of another's folder.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from streams.storage.connection import Connection

log = logging.getLogger(__name__)
NAME, SUBJECT = "ARBE", "arbe.proposals"
HEARTBEAT = 0.5  # seconds
SILENT = 3 * HEARTBEAT  # then whoever sent us the log is gone
FETCHED = 16  # messages at once
MOST_BEHIND = 2  # heartbeats
TRY = 1.0  # seconds that one question to the cluster may take; then it is asked again
TOGETHER = 4 << 20  # bytes that are handed on at once, and one message more: it has to fit into one batch of a store
REMEMBERED = 120.0  # seconds for which JetStream knows what it has stored already
LARGEST = 9 << 20  # bytes of a proposal: a request of 8 MB and what is around it
FAILURES = (NatsError, TimeoutError, OSError, ssl.SSLError)


class Unconfirmed(Exception):
    """Nobody has said that it is stored; it may be all the same."""


class Misplaced(Exception):
    """The log is not the one that this copy has followed, or no longer holds what comes next. Nothing heals that."""


class Lost(Exception):
    """A message was missed, or nothing has come for too long: the log has to be read on from where it was."""


class Delivery(NamedTuple):
    """One message of the log."""

    sequence: int
    payload: bytes


class State(NamedTuple):
    """What the log says of itself: which one it is, and which messages it holds."""

    identity: str
    first: int
    last: int


class OrderedLog:
    """The log, as one process reads and writes it. Reconnects by itself, for as long as it takes."""

    def __init__(self, addresses: Sequence[str], credentials: str | None = None) -> None:
        self._addresses, self._credentials = list(addresses), credentials
        self._nats = Connection()
        self._js: JetStreamContext | None = None
        self._arrived: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._complaint = ""

    @property
    def is_connected(self) -> bool:
        return self._js is not None and self._nats.is_connected

    @property
    def largest(self) -> int:
        """Bytes that a proposal may have: what the servers take (`max_payload`), if they have said it."""
        return min(LARGEST, self._nats.max_payload - 1024) if self._js else LARGEST

    async def connect(self) -> None:
        """Tries until it succeeds; says in the log, once for each reason, why it does not."""
        await self._nats.connect(
            servers=self._addresses,
            name="arbe",
            user_credentials=self._credentials,
            error_cb=self._complain,
            disconnected_cb=self._disconnected,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,  # type: ignore[arg-type]  # it is slept, and may be a fraction
            connect_timeout=2,
            ping_interval=5,
            max_outstanding_pings=2,
            pending_size=4 * LARGEST,
        )
        js = nats.js.JetStreamContext(self._nats, timeout=TRY)
        while True:
            try:
                await self._ensure(js)
                break
            except FAILURES as error:
                await self._complain(error)
                await asyncio.sleep(HEARTBEAT)
        self._js = js
        if self._nats.max_payload < LARGEST:
            told = "NATS takes messages of %d bytes: larger requests are refused. Set max_payload to 16MB there."
            log.warning(told, self._nats.max_payload)

    async def close(self) -> None:
        self._arrived.put_nowait(None)
        await self._nats.close()

    async def publish(self, payload: bytes, key: str, *, is_first: bool = False) -> int:
        """Its place in the log, once a majority has it. Raises `Unconfirmed`; the same key is stored once only."""
        if self._js is None:
            raise Unconfirmed("The cluster cannot be reached.")
        headers = {"Nats-Msg-Id": key} | ({"Nats-Expected-Last-Sequence": "0"} if is_first else {})
        try:
            told = await self._js.publish(SUBJECT, payload, timeout=TRY, stream=NAME, headers=headers)
        except FAILURES as error:
            raise Unconfirmed(str(error) or type(error).__name__) from error
        return told.seq

    async def state(self) -> State:
        """As the leader knows it. Raises `Unconfirmed`."""
        if self._js is None:
            raise Unconfirmed("The cluster cannot be reached.")
        try:
            info = await self._js.stream_info(NAME)
        except FAILURES as error:
            raise Unconfirmed(str(error) or type(error).__name__) from error
        return State(str(info.created), info.state.first_seq, info.state.last_seq)

    async def follow(self, after: int) -> AsyncGenerator[list[Delivery], None]:
        """What comes behind that place, in order and without a gap, for ever; the next is sent when one was taken.

        Raises `Lost` and `Unconfirmed`, after which it may be called again.
        """
        if self._js is None:
            raise Unconfirmed("The cluster cannot be reached.")
        self._arrived = arrived = asyncio.Queue[Msg | None]()

        async def arrive(message: Msg) -> None:
            arrived.put_nowait(message)

        inbox = self._nats.new_inbox()
        subscription = await self._nats.subscribe(inbox, cb=arrive)
        consumer = None
        try:
            try:
                consumer = await self._js.add_consumer(NAME, _consumer(inbox, after + 1), timeout=TRY)
            except FAILURES as error:
                async for deliveries in self._fetch(self._js, after):
                    yield deliveries
                raise Unconfirmed(str(error) or type(error).__name__) from error
            async for deliveries in self._take(arrived, after):
                yield deliveries
        except FAILURES as error:
            raise Unconfirmed(str(error) or type(error).__name__) from error
        finally:
            await self._end(subscription.unsubscribe)
            if consumer is not None and self.is_connected:
                js, name = self._js, consumer.name
                await self._end(lambda: js.delete_consumer(NAME, name))

    async def _take(self, arrived: asyncio.Queue[Msg | None], place: int) -> AsyncGenerator[list[Delivery], None]:
        count = behind = 0  # of messages that this consumer has sent; heartbeats in which it should have
        while True:
            deliveries: list[Delivery] = []
            for message in await _gathered(arrived):
                if message.headers and "Status" in message.headers:
                    if deliveries:
                        yield deliveries
                        deliveries = []
                    await self._heed(message, count)
                    behind = behind + 1 if arrived.empty() and await self._is_behind(place) else 0
                    if behind > MOST_BEHIND:
                        raise Lost(f"whoever sends the log has nothing behind {place}, and the leader has")
                else:
                    _check(message, count, place)
                    count, place, behind = count + 1, place + 1, 0
                    deliveries.append(Delivery(place, message.data))
            if deliveries:
                yield deliveries

    async def _fetch(self, js: JetStreamContext, place: int) -> AsyncGenerator[list[Delivery], None]:
        """For a moment, one by one from the leader: the log may have one while the cluster can make no consumer."""
        until = asyncio.get_running_loop().time() + SILENT
        while asyncio.get_running_loop().time() < until:
            wanted = range(place + 1, min((await self.state()).last, place + FETCHED) + 1)
            found = await asyncio.gather(*(js.get_msg(NAME, sequence) for sequence in wanted))
            if found:
                yield [Delivery(number, each.data or b"") for number, each in zip(wanted, found, strict=True)]
                place = wanted[-1]
            else:
                await asyncio.sleep(TRY / 50)

    async def _heed(self, message: Msg, count: int) -> None:
        """A heartbeat says how much was sent; a question about the flow is answered when what came before is done."""
        headers = message.headers or {}
        if int(headers.get("Nats-Last-Consumer", count)) != count:
            raise Lost(f"{headers['Nats-Last-Consumer']} messages were sent, {count} came")
        reply = message.reply or headers.get("Nats-Consumer-Stalled")
        if reply:
            await self._nats.publish(reply)
        if headers.get("Status") != "100":
            raise Lost(f"the consumer ended: {headers.get('Description', '')}")

    async def _is_behind(self, place: int) -> bool:
        """Nodes that were struck dead may come back and say for long that nothing is new."""
        try:
            return (await self.state()).last > place
        except Unconfirmed:
            return False  # without a leader nothing is new

    async def _ensure(self, js: JetStreamContext) -> None:
        try:
            await js.stream_info(NAME)
        except NotFoundError:
            await js.add_stream(
                api.StreamConfig(
                    name=NAME,
                    subjects=[SUBJECT],
                    storage=api.StorageType.FILE,
                    discard=api.DiscardPolicy.NEW,  # a log that is full takes nothing more, and forgets nothing
                    num_replicas=3 if len(self._addresses) >= 3 else 1,
                    duplicate_window=REMEMBERED,
                )
            )

    async def _end(self, ending: Callable[[], Awaitable[object]]) -> None:
        try:
            await asyncio.wait_for(ending(), TRY)
        except FAILURES:
            pass  # it ends by itself, a moment later

    async def _disconnected(self) -> None:
        self._arrived.put_nowait(None)

    async def _complain(self, error: Exception) -> None:
        told = str(error) or type(error).__name__
        if told != self._complaint:
            self._complaint = told
            log.warning("JetStream: %s", told)


def _consumer(inbox: str, start: int) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        deliver_subject=inbox,
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        ack_policy=api.AckPolicy.NONE,
        max_deliver=1,
        flow_control=True,
        idle_heartbeat=HEARTBEAT,
        inactive_threshold=30.0,
        mem_storage=True,
        num_replicas=1,
    )


async def _gathered(arrived: asyncio.Queue[Msg | None]) -> list[Msg]:
    """All that is there, up to a bound, once there is something."""
    found: list[Msg] = []
    size = 0
    message = await _heard(arrived)
    while True:
        if message is None:
            raise Lost("the connection broke")
        found.append(message)
        size += len(message.data)
        if arrived.empty() or size >= TOGETHER:
            return found
        message = arrived.get_nowait()


async def _heard(arrived: asyncio.Queue[Msg | None]) -> Msg | None:
    for patience in (SILENT, HEARTBEAT):  # the second, because it may be us who had no time to listen
        try:
            return await asyncio.wait_for(arrived.get(), patience)
        except TimeoutError:
            continue
    raise Lost("nothing was heard for too long")


def _check(message: Msg, count: int, place: int) -> None:
    """That this is the message which comes next."""
    sequence = message.metadata.sequence
    if sequence.consumer != count + 1:
        raise Lost(f"message {sequence.consumer} came after message {count}")
    if sequence.stream != place + 1:
        raise Misplaced(f"The log in JetStream no longer holds message {place + 1}.")

"""What a store of streams has to do, said as simply as can be: lists in memory. And the same requests at a real one."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from streams.offsets import START, Offset
from streams.refusals import Dropped, Refusal
from streams.terms import Append, Producer, Settings

TYPES = {"json": "application/json", "bytes": "application/octet-stream"}
TTL = 100


class Op(NamedTuple):
    """One request. `at` and `sub` say where a fork begins, in messages and beyond."""

    verb: str
    name: str
    kind: str = "json"
    messages: tuple[bytes, ...] = ()
    close: bool = False
    producer: tuple[int, int] | None = None
    source: str = ""
    at: int = 0
    sub: int = 0
    ttl: int | None = None
    retain: int | None = None


@dataclass
class Stream:
    """A stream as a list of messages."""

    kind: str
    messages: list = field(default_factory=list)
    closed: bool = False
    closed_by: tuple | None = None
    producer: tuple | None = None
    source: str = ""
    forks: int = 0
    is_soft_deleted: bool = False
    ttl: int | None = None
    retain: int | None = None

    def offset(self, count=None):
        messages = self.messages[:count]
        return Offset(len(messages), sum(map(len, messages)))


class Model:
    """All streams by name."""

    def __init__(self):
        self.streams: dict[str, Stream] = {}

    def apply(self, op):
        """`done`, `duplicate`, or the code of the refusal."""
        there = self.streams.get(op.name)
        if op.verb == "create":
            return self._create(op, there)
        if op.verb == "fork":
            return self._fork(op, there)
        if there is None:
            return "not_found"
        if there.is_soft_deleted:
            return "gone"
        if op.verb == "delete":
            self.delete(op.name)
            return "done"
        return self._append(op, there)

    def expire(self):
        for name in [name for name, stream in self.streams.items() if stream.ttl and not stream.is_soft_deleted]:
            if name in self.streams:
                self.delete(name)

    def delete(self, name):
        stream = self.streams[name]
        if stream.forks:
            stream.is_soft_deleted = True
            return
        del self.streams[name]
        if stream.source:
            source = self.streams[stream.source]
            source.forks -= 1
            if source.is_soft_deleted and not source.forks:
                self.delete(stream.source)

    def _create(self, op, there):
        if there is None:
            self.streams[op.name] = Stream(op.kind, [*op.messages], op.close, ttl=op.ttl, retain=op.retain)
            return "done"
        same = (there.kind, there.closed, there.source, there.ttl, there.retain)
        wanted = (op.kind, op.close, "", op.ttl, op.retain)
        return "duplicate" if same == wanted and not there.is_soft_deleted else "different_stream"

    def _fork(self, op, there):
        source = self.streams.get(op.source)
        if source is None:
            return "not_found"
        if source.is_soft_deleted:
            return "different_stream"
        borrowed = source.messages[: op.at]
        if source.kind == "json":
            if op.at + op.sub > len(source.messages):
                return "malformed"
            borrowed = source.messages[: op.at + op.sub]
        elif op.sub:
            following = source.messages[op.at] if op.at < len(source.messages) else b""
            if op.sub > len(following):
                return "malformed"
            borrowed = [*borrowed, following[: op.sub]]
        if there is not None:
            return "different_stream"
        self.streams[op.name] = Stream(source.kind, [*borrowed, *op.messages], source=op.source, ttl=source.ttl)
        source.forks += 1
        return "done"

    def _append(self, op, there):
        if there.closed:
            again = op.producer is not None and op.producer == there.closed_by
            return "duplicate" if again or (op.close and not op.messages and not op.producer) else "closed"
        if op.producer:
            epoch, seq = op.producer
            known = there.producer or (-1, -1)
            if epoch < known[0]:
                return "producer_fenced"
            if epoch > known[0] and seq:
                return "malformed" if there.producer else "producer_gap"
            last = known[1] if epoch == known[0] else -1
            if seq <= last:
                return "duplicate"
            if seq > last + 1:
                return "producer_gap"
            there.producer = op.producer
        there.messages += op.messages
        there.closed = op.close
        there.closed_by = op.producer if op.close else None
        return "done"


class Chance:
    """Makes up requests, most of which make sense."""

    def __init__(self, seed, names, spares=()):
        self.random, self.names, self._count = random.Random(seed), list(names), 0
        self._spares = spares  # verbs that are not wanted

    def op(self, model):
        chance = self.random
        name = chance.choice(self.names)
        there = model.streams.get(name)
        if there is None or there.is_soft_deleted:
            return self._birth(model, name)
        verb = chance.choices(
            ["append", "batch", "produce", "again", "close", "delete", "create"], (8, 6, 8, 3, 1, 2, 1)
        )[0]
        if verb == "delete":
            return Op("delete", name)
        if verb == "create":
            return Op("create", name, there.kind, ttl=there.ttl, retain=there.retain)
        if verb == "close":
            return Op("append", name, there.kind, self._messages(there.kind, chance.choice((0, 1))), close=True)
        if verb in ("produce", "again"):
            epoch, seq = there.producer or (chance.randrange(3), -1)
            if verb == "produce":
                epoch, seq = (epoch + 1, 0) if chance.random() < 0.1 else (epoch, seq + 1)
            count = 1 if there.kind == "bytes" else chance.choice((1, 1, 3))
            return Op("append", name, there.kind, self._messages(there.kind, count), producer=(epoch, max(0, seq)))
        count = chance.randrange(2, 9) if verb == "batch" and there.kind == "json" else 1
        return Op("append", name, there.kind, self._messages(there.kind, count))

    def _birth(self, model, name):
        chance = self.random
        sources = [each for each, stream in model.streams.items() if each != name and not stream.retain]
        if sources and chance.random() < 0.5 and "fork" not in self._spares:
            source = chance.choice(sources)
            there = model.streams[source]
            at = chance.randint(0, len(there.messages))
            sub = chance.choice((0, 0, 1, 2, 5))
            return Op("fork", name, there.kind, self._messages(there.kind, 1), source=source, at=at, sub=sub)
        kind = chance.choice(("json", "json", "bytes"))
        ttl = TTL if chance.random() < 0.2 and "ttl" not in self._spares else None
        retain = 150 if chance.random() < 0.2 and "retain" not in self._spares else None
        return Op("create", name, kind, self._messages(kind, chance.choice((0, 1))), ttl=ttl, retain=retain)

    def _messages(self, kind, count):
        made = []
        for _ in range(count):
            self._count += 1
            text = f"{self._count}." + "x" * self.random.randrange(40)
            made.append(f'"{text}"'.encode() if kind == "json" else f"{text};".encode())
        return tuple(made)


async def perform(store, op):
    """The same at a store."""
    producer = Producer("p", *op.producer) if op.producer else None
    append = Append([*op.messages], op.close, op.close and not op.messages, producer)
    try:
        if op.verb == "delete":
            await store.delete(op.name)
            return "done"
        if op.verb == "create":
            done = await store.create(op.name, Settings(TYPES[op.kind], ttl=op.ttl, retain=op.retain), append)
        elif op.verb == "fork":
            at = await place(store, op.source, op.at)
            done = await store.fork(op.name, Settings(""), append, op.source, at, op.sub)
        else:
            done = await store.append(await store.get(op.name), append)
    except Refusal as refusal:
        return refusal.code
    return "duplicate" if done.duplicate else "done"


async def place(store, name, count):
    """The offset behind so many messages."""
    stream = await store.find(name)
    if stream is None or count == 0:
        return START
    return (await store.read(stream, START, most=count, size=1 << 30)).end


async def differences(store, model, names):
    """In sentences; none if the store is what the model is."""
    found = await asyncio.gather(*(_difference(store, name, model.streams.get(name)) for name in names))
    return [f"{name}: {what}" for name, what in zip(names, found, strict=True) if what]


async def misnamed(store, *models):
    """The same of the list of all streams."""
    there, wanted = await store.names(), sorted(name for model in models for name in model.streams)
    return [f"there are {there}, not {wanted}"] if there != wanted else []


async def _difference(store, name, wanted):
    stream = await store.find(name)
    if stream is None or wanted is None:
        return "" if stream is wanted is None else f"{stream and stream.tail} is there, not {wanted}"
    if (stream.closed, stream.is_soft_deleted, stream.tail) != (wanted.closed, wanted.is_soft_deleted, wanted.offset()):
        return f"{stream.closed} {stream.is_soft_deleted} {stream.tail}, not {wanted}"
    if stream.references != wanted.forks or stream.producers.get("p") != wanted.producer:
        return f"{stream.references} forks, {stream.producers}, not {wanted}"
    begin = await store.begin(stream)
    if begin != wanted.offset(begin.messages):
        return f"begins at {begin}"
    if begin.messages:
        if wanted.retain is None or stream.tail.bytes - begin.bytes < wanted.retain:
            return f"only {begin} to {stream.tail} is kept"
        with pytest.raises(Dropped):
            await store.read(stream, START)
    page = await store.read(stream, begin, size=1 << 30)
    expected = (b"," if wanted.kind == "json" else b"").join(wanted.messages[begin.messages :])
    return "" if page.data == expected and page.up_to_date else f"holds {page.data!r}, not {expected!r}"


def kept(folder):
    """All that a store has on disk, by path."""
    return {path: path.read_bytes() for path in [*folder.glob("journal/*"), *folder.glob("streams/*/*")]}


def put_back(folder, files):
    for path in kept(folder):
        path.unlink()
    for path, blob in files.items():
        path.write_bytes(blob)

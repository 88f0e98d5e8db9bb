"""What a batch is about to do to one stream, judged by the protocol's table before any of it is on disk."""

from __future__ import annotations

from array import array
from typing import Any
from zlib import crc32

from streams.offsets import Offset
from streams.refusals import (
    Malformed,
    NoStream,
    OutOfSequence,
    ProducerFenced,
    ProducerGap,
    StreamClosed,
    TailMoved,
)
from streams.storage.frames import IndexEntry
from streams.storage.log import MOST_PRODUCERS, StreamLog, remember
from streams.terms import Append, Appended, Producer

# An enveloped message begins with {"seq":" and has the server's offset there, of fixed width.
SEQ_AT, SEQ_END = 8, 41


class Draft:
    """The stream as it will be when the batch is on disk; nobody but the batch sees it."""

    __slots__ = (
        "_is_all",
        "_parts",
        "_producers",
        "closed",
        "closed_by",
        "data",
        "deleted",
        "entries",
        "first",
        "is_soft_deleted",
        "log",
        "number",
        "packed",
        "references",
        "stream_seq",
        "tail",
        "touch_kept",
    )

    def __init__(self, log: StreamLog) -> None:
        self.log = log
        self.tail, self.number = log.tail, log.number
        self.closed, self.closed_by, self.stream_seq = log.closed, log.closed_by, log.stream_seq
        self.references, self.is_soft_deleted, self.first = log.references, log.is_soft_deleted, log.first
        self.deleted = log.gone
        self.touch_kept = log.touch_kept
        self.entries: list[IndexEntry] = []
        self.packed: list[bytes] = []
        self.data: list[bytes] = []
        self._parts: list[tuple[Offset, list[bytes], dict[str, Any]]] = []
        self._producers: dict[str, tuple[int, int]] = {}
        self._is_all = False  # whether those are all that are known, not only those of this batch

    def take(self, append: Append, now: float) -> Appended:
        """Judge a request, and write it down when it may happen. Raises a Refusal."""
        if self.deleted:
            raise NoStream("There is no such stream.")
        producer = append.producer
        if self.closed:
            return self._answer_closed(append)
        if append.expected is not None and append.expected != self.tail:
            tail = str(self.tail)
            raise TailMoved("The stream goes on behind that place.", ETag=f'"{tail}"', Stream_Next_Offset=tail)
        if producer:
            known = self._producers.get(producer.id)
            if known is None and not self._is_all:
                known = self.log.producers.get(producer.id)
            if _is_duplicate(producer, known):
                assert known
                return Appended(self.tail, False, True, Producer(producer.id, *known))
        said, last = append.stream_seq, self.stream_seq
        if said is not None and last is not None and said.encode() <= last.encode():
            raise OutOfSequence(f"Stream-Seq must sort after {last!r}.")
        self._append(append, {}, now)
        return Appended(self.tail, self.closed, False, producer)

    def bear(self, first: Append, now: float) -> Appended:
        self._append(first, {"birth": self.log.birth(), "t": now}, now)
        return Appended(self.tail, self.closed)

    def has_expired(self, now: float, is_ordered: bool) -> bool:
        """If several copies have to decide alike, by what all of them know."""
        return self.log.has_expired_everywhere(now, self.touch_kept) if is_ordered else self.log.has_expired(now)

    def note(self, **state: Any) -> None:
        """An entry without messages: something else became true."""
        self.references += state.get("f", 0)
        self.is_soft_deleted = self.is_soft_deleted or "gone" in state
        self.first = max(self.first, Offset(*state.get("r", self.first)))
        self._write([], state)

    @property
    def is_changed(self) -> bool:
        return bool(self._parts) or self.deleted

    def seal(self) -> None:
        """No more of it: entries are made, one for each run of appends that say nothing but their messages."""
        for before, messages, state in self._parts:
            lengths = array("I", map(len, messages))
            data = b",".join([*messages, b""]) if self.log.is_json and messages else b"".join(messages)
            self.number += 1
            entry = IndexEntry(self.number, before.messages, before.bytes, lengths, crc32(data), state)
            self.entries.append(entry)
            self.packed.append(entry.pack())
            self.data.append(data)

    def _answer_closed(self, append: Append) -> Appended:
        if append.producer is not None and append.producer == self.closed_by:
            return Appended(self.tail, True, True, append.producer)
        if append.close_only and append.producer is None:
            return Appended(self.tail, True, True)
        headers = {"Stream_Closed": "true", "Stream_Next_Offset": str(self.tail)}
        raise StreamClosed("The stream is closed; nothing can be added to it.", **headers)

    def _append(self, append: Append, state: dict[str, Any], now: float) -> None:
        if append.producer:
            state["p"] = list(append.producer)
            self._remember(append.producer)
        if append.stream_seq is not None:
            state["s"] = self.stream_seq = append.stream_seq
        if append.close:
            state["x"], self.closed, self.closed_by = True, True, append.producer
        if self.log.settings.ttl is not None:
            state["t"] = now
        self._write(append.messages, state)

    def _remember(self, producer: Producer) -> None:
        """As the stream will: where batches end makes no difference to who is forgotten."""
        if not self._is_all and len(self._producers) + len(self.log.producers) >= MOST_PRODUCERS:
            older = {name: told for name, told in self.log.producers.items() if name not in self._producers}
            self._producers, self._is_all = older | self._producers, True
        remember(self._producers, producer)

    def _write(self, messages: list[bytes], state: dict[str, Any]) -> None:
        before, settings = self.tail, self.log.settings
        self.touch_kept = state.get("t", self.touch_kept)
        if settings.enveloped:
            messages = _stamped(messages, before)
        self.tail = Offset(before.messages + len(messages), before.bytes + sum(map(len, messages)))
        if self._parts and not state and not self._parts[-1][2]:
            self._parts[-1][1].extend(messages)
        else:
            self._parts.append((before, list(messages), state))


def _stamped(messages: list[bytes], before: Offset) -> list[bytes]:
    count, size = before
    stamped = []
    for message in messages:
        count, size = count + 1, size + len(message)
        seq = b"%016d_%016d" % (count, size)
        stamped.append(message[:SEQ_AT] + seq + message[SEQ_END:])
    return stamped


def _is_duplicate(producer: Producer, known: tuple[int, int] | None) -> bool:
    epoch, last = known or (-1, -1)
    if producer.epoch < epoch:
        raise ProducerFenced("A newer life of this producer has taken over.", Producer_Epoch=str(epoch))
    if producer.epoch > epoch:
        if producer.seq == 0:
            return False
        if known:
            raise Malformed("A new Producer-Epoch begins with Producer-Seq 0.")
        last = -1
    if producer.seq <= last:
        return True
    if producer.seq > last + 1:
        numbers = {"Producer_Expected_Seq": str(last + 1), "Producer_Received_Seq": str(producer.seq)}
        raise ProducerGap(f"Producer-Seq {last + 1} comes next, not {producer.seq}.", **numbers)
    return False

"""Requests as bytes: what copies of a store send each other, so that each decides the same in the same order.

A proposal is what one writer asks for at once: a head, a line of JSON that describes its requests, and the bytes of
their messages one behind the other. Everything that a decision depends on is in it, the time as well.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import orjson

from streams.offsets import Offset
from streams.storage.batch import AppendRequest, CreateRequest, DeleteRequest, NoteRequest, Request
from streams.terms import Append, Producer, Settings

_HEAD = struct.Struct("<4sI")  # what this is, bytes of the description
_MARK = b"ARB1"
HEAD = 100  # bytes, at most, that are there besides the requests
FEW = 1000  # lengths that are told as they are; more are packed


class Unreadable(Exception):
    """Written by a later version, or by somebody else."""


class Piece(NamedTuple):
    """One request as it goes into a proposal: its description, and the bytes of its messages."""

    told: bytes
    data: bytes

    @property
    def size(self) -> int:
        return len(self.told) + len(self.data) + 1


class Proposal(NamedTuple):
    """`writer` is one life of one process and numbers what it proposes from 1 on."""

    writer: str
    number: int
    requests: list[Request]
    is_founding: bool = False  # the log begins with what lies in the folder of this writer, and asks for nothing


def piece(request: Request) -> Piece:
    """Of a request. Its name and settings are JSON, its messages stay as they are."""
    told: dict[str, Any] = {"name": request.name, "now": request.now}
    append = None
    if isinstance(request, AppendRequest):
        told |= {"kind": "append", "incarnation": request.incarnation}
        append = request.append
    elif isinstance(request, CreateRequest):
        told |= {"kind": "create", "settings": asdict(request.settings)}
        append = request.first
    elif isinstance(request, DeleteRequest):
        told |= {"kind": "delete", "incarnation": request.incarnation, "expired": request.expired}
    else:
        assert isinstance(request, NoteRequest)
        told |= {"kind": "note", "incarnation": request.incarnation, "state": request.state}
    data = _messages(append, told) if append else b""
    return Piece(orjson.dumps(told, default=list), data)


def pack(writer: str, number: int, pieces: list[Piece]) -> bytes:
    told = b'{"writer":"%s","number":%d,"requests":[' % (writer.encode(), number)
    told += b",".join([each.told for each in pieces]) + b"]}"
    return b"".join([_HEAD.pack(_MARK, len(told)), told, *[each.data for each in pieces]])


def found(writer: str) -> bytes:
    told = orjson.dumps({"writer": writer, "number": 1, "requests": [], "founding": True})
    return _HEAD.pack(_MARK, len(told)) + told


def unpack(payload: bytes) -> Proposal:
    """Needs a running event loop, as requests do. Raises `Unreadable`."""
    try:
        mark, size = _HEAD.unpack_from(payload)
        told = orjson.loads(payload[_HEAD.size : _HEAD.size + size])
        if mark != _MARK:
            raise Unreadable(mark)
        data = memoryview(payload)[_HEAD.size + size :]
        requests = list(_requests(told["requests"], data))
        return Proposal(told["writer"], told["number"], requests, told.get("founding", False))
    except (struct.error, orjson.JSONDecodeError, KeyError, TypeError, zlib.error) as error:
        raise Unreadable(str(error)) from error


def _requests(told: list[dict[str, Any]], data: memoryview) -> Iterator[Request]:
    for each in told:
        size = each.get("size", 0)
        yield _MAKE[each["kind"]](each, data[:size])
        data = data[size:]


def _messages(append: Append, told: dict[str, Any]) -> bytes:
    told["append"] = {
        name: value
        for name in ("close", "close_only", "producer", "stream_seq", "expected")
        if (value := getattr(append, name))
    }
    if append.stream_seq is not None:
        told["append"]["stream_seq"] = append.stream_seq
    lengths = list(map(len, append.messages))
    data = append.messages[0] if len(lengths) == 1 else b"".join(append.messages)
    if len(lengths) > FEW:
        packed = zlib.compress(array("I", lengths).tobytes(), 1)
        told["packed"] = len(packed)
        data = packed + data
    else:
        told["lengths"] = lengths
    told["size"] = len(data)
    return data


def _append(told: dict[str, Any], data: memoryview) -> Append:
    lengths = told.get("lengths")
    if lengths is None:
        unpacked = array("I")
        unpacked.frombytes(zlib.decompress(data[: told["packed"]]))
        lengths, data = unpacked, data[told["packed"] :]
    messages = [bytes(data[start:end]) for start, end in pairwise(accumulate(lengths, initial=0))]
    rest = told["append"]
    if "producer" in rest:
        rest["producer"] = Producer(*rest["producer"])
    if "expected" in rest:
        rest["expected"] = Offset(*rest["expected"])
    return Append(messages, **rest)


_MAKE: dict[str, Callable[[dict[str, Any], memoryview], Request]] = {
    "append": lambda told, data: AppendRequest(told["name"], told["incarnation"], _append(told, data), told["now"]),
    "create": lambda told, data: CreateRequest(
        told["name"], Settings.of(told["settings"]), _append(told, data), told["now"]
    ),
    "delete": lambda told, _: DeleteRequest(told["name"], told["incarnation"], told["now"], told["expired"]),
    "note": lambda told, _: NoteRequest(told["name"], told["incarnation"], told["now"], told["state"]),
}

"""What a stream is asked to be, and what is to be added to it: values that server, store and client share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from streams.offsets import Offset


class Producer(NamedTuple):
    """Who writes, which life of theirs this is, and which of its requests."""

    id: str
    epoch: int
    seq: int


class Fork(NamedTuple):
    """Of which stream the first part is borrowed, up to where; and how the fork was asked for."""

    source: str
    incarnation: str
    messages: int
    bytes: int
    sub: int = 0  # messages (JSON) or bytes behind the offset that was asked for

    @property
    def at(self) -> Offset:
        return Offset(self.messages, self.bytes)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is fixed when a stream is created."""

    content_type: str
    enveloped: bool = False
    incarnation: str = ""
    ttl: int | None = None  # seconds without a read or a write
    expires_at: str | None = None  # RFC 3339, as it was given
    retain: int | None = None  # bytes; what is older may be dropped
    fork: Fork | None = None

    @property
    def base_type(self) -> str:
        return media_type(self.content_type)

    @property
    def is_json(self) -> bool:
        return media_type(self.content_type) == "application/json"

    @property
    def is_mortal(self) -> bool:
        """Whether it ends by itself."""
        return self.ttl is not None or self.expires_at is not None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Settings:
        fork = told.get("fork")
        return cls(**told | {"fork": Fork(*fork) if fork else None})


@dataclass(frozen=True, slots=True)
class Append:
    """One request to grow a stream, close it, or both."""

    messages: list[bytes] = field(default_factory=list)
    close: bool = False
    close_only: bool = False
    producer: Producer | None = None
    stream_seq: str | None = None
    expected: Offset | None = None  # where the tail has to be


class Appended(NamedTuple):
    """What came of it: the tail, and for a producer the highest request accepted so far."""

    next: Offset
    closed: bool
    duplicate: bool = False
    producer: Producer | None = None


@lru_cache(256)
def media_type(content_type: str) -> str:
    """The type alone, without its parameters."""
    return content_type.partition(";")[0].strip().lower()

"""The catalogue of events: each kind is declared once, typed, in the app where it happens."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import orjson

T = TypeVar("T")
LIST_ROOM = 100_000  # bytes of JSON
CATALOGUE: dict[str, type["Event"]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened, in the past tense. Its fields are its payload; others are refused at construction."""

    kind: ClassVar[str]

    def __init_subclass__(cls, *, kind: str, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if kind in CATALOGUE and CATALOGUE[kind].__qualname__ != cls.__qualname__:
            raise TypeError(f"the event kind {kind!r} is declared twice")
        cls.kind = kind
        CATALOGUE[kind] = cls

    @property
    def payload(self) -> dict[str, Any]:
        return asdict(self)


def few(entries: Iterable[T]) -> list[T]:
    """As many, from the first on, as a list in a payload has room for: no stream takes an event of any size."""
    kept: list[T] = []
    room = LIST_ROOM
    for entry in entries:
        room -= len(orjson.dumps(entry))
        if room < 0:
            break
        kept.append(entry)
    return kept

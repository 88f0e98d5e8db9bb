"""Positions in a stream: how many messages and how many of their bytes lie before."""

from __future__ import annotations

import re
from typing import NamedTuple

WIDTH = 33
_SHAPE = re.compile(r"(\d{1,16})_(\d{1,16})", re.ASCII)


class Offset(NamedTuple):
    """A place between two messages; its text sorts like the place itself."""

    messages: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.messages:016d}_{self.bytes:016d}"

    @classmethod
    def parse(cls, text: str) -> Offset | None:
        found = _SHAPE.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


START = Offset(0, 0)

"""The one point where output loses its secrets before anybody sees it."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

T = TypeVar("T")

SHORTEST = 4  # replacing anything shorter would tell more than it hides
SHORTEST_INSIDE = 8  # a piece of base64, cut loose from what is around it
CUT = "…"  # what texts end with that were cut
SAMPLE = 512
ESCAPE_BEGUN = re.compile(rb"\x1b(?:\[[0-9;:?]{0,30})?\Z")
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\b\x1b\f\a"))


class Redactor:
    """Turns raw output into text without the secrets' values; pieces give the same text as the whole."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        usable = {name: value.strip() for name, value in sorted(values.items())}
        self.too_short = tuple(name for name, value in usable.items() if len(value) < SHORTEST)
        self._names: dict[bytes, str] = {}
        for name, value in usable.items():
            if len(value) >= SHORTEST:
                for form in _forms(value):
                    self._names.setdefault(form, name)
        forms = sorted(self._names, key=lambda form: (-len(form), form))
        self._any = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        self._longest = len(forms[0]) if forms else 0
        self._by_first: dict[int, list[bytes]] = {}
        for form in forms:
            self._by_first.setdefault(form[0], []).append(form)
        self._marks = {name: self._mark(name) for name in usable}

    def split(self, raw: bytes, final: bool) -> tuple[int, str, dict[str, int]]:
        """How many bytes are dealt with, their text, and how often each secret was in them.

        What is not dealt with may be the beginning of a secret, a character or an escape sequence: give it again,
        with what follows. `final` says that nothing follows.
        """
        clean = raw.replace(b"\0", b"")  # before looking, or taking them out could put a secret together
        held = self._held(clean) if not final else []
        pieces: list[str] = []
        hits: Counter[str] = Counter()
        at = 0
        while True:
            found = self._any.search(clean, at) if self._any else None
            hold = next((place for place in held if place >= at), len(clean))
            if found is None or hold <= found.start():
                break
            name = self._names[found.group()]
            hits[name] += 1
            pieces += _text(clean[at : found.start()]), self._marks[name]
            at = found.end()
        end = len(clean) if final else at + _whole(clean[at:hold])
        pieces.append(_text(clean[at:end]))
        consumed = len(raw) if end == len(clean) else _place(raw, end)
        if _is_binary(raw[:consumed]):
            return consumed, f"[binary output, {consumed} bytes, not shown]\n", dict(hits)
        return consumed, "".join(pieces), dict(hits)

    def clean(self, value: T) -> tuple[T, dict[str, int]]:
        """A value as JSON has them without secrets, in the names of its fields as well, and how often each was there.

        Nothing follows; it is also without what no column keeps.
        """
        hits: Counter[str] = Counter()
        return cast(T, self._clean(value, hits)), dict(hits)

    def hide(self, raw: bytes) -> bytes:
        """A whole file, text or not, without the secrets' values; the rest of it is as it was."""
        if self._any is None:
            return raw
        return self._any.sub(lambda found: self._marks[self._names[found.group()]].encode(), raw)

    def _clean(self, value: Any, hits: Counter[str]) -> Any:
        if isinstance(value, str):
            return self._clean_text(value, hits)
        if isinstance(value, dict):
            return {self._clean(name, hits): self._clean(one, hits) for name, one in value.items()}
        return [self._clean(one, hits) for one in value] if isinstance(value, list) else value

    def _clean_text(self, value: str, hits: Counter[str]) -> str:
        raw = value.encode(errors="replace")
        _, text, found = self.split(raw, final=True)
        hits.update(found)
        clean = text if found else _text(raw.replace(b"\0", b""))
        return self._without_half(clean, hits) if clean.endswith(CUT) else clean

    def _without_half(self, text: str, hits: Counter[str]) -> str:
        """Where a secret was cut together with its text, its beginning goes too."""
        raw = text.removesuffix(CUT).encode()
        for place in range(max(0, len(raw) - self._longest + 1), len(raw) - SHORTEST_INSIDE + 1):
            half = raw[place:]
            form = next((form for form in self._by_first.get(half[0], ()) if form.startswith(half)), None)
            if form is not None:
                name = self._names[form]
                hits[name] += 1
                return _text(raw[:place]) + self._marks[name] + CUT
        return text

    def _held(self, clean: bytes) -> list[int]:
        """Where something begins that could yet become a secret, or a longer one."""
        first = max(0, len(clean) - self._longest + 1)
        return [place for place in range(first, len(clean)) if self._begins(clean[place:])]

    def _begins(self, tail: bytes) -> bool:
        return any(len(tail) < len(form) and form.startswith(tail) for form in self._by_first.get(tail[0], ()))

    def _mark(self, name: str) -> str:
        """What stands for the secret; it must not make one up, alone or with what is around it."""
        for mark in (f"[secret {name}]", "[secret]", "[redacted]", "█████", "\N{REPLACEMENT CHARACTER}"):
            if not any(_touch(mark.encode(), form) for form in self._names):
                return mark
        return "\N{LOCK}"


def _forms(value: bytes) -> set[bytes]:
    """The ways in which a value commonly shows."""
    forms = {value, quote(value).encode(), quote(value, safe="").encode(), quote_plus(value).encode()}
    text = value.decode(errors="ignore")
    if text.encode() == value:
        forms |= {json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms |= {encode(value), encode(value).rstrip(b"="), encode(value + b"\n")}
        for before in range(3):  # as part of something longer: a password in a basic-auth header
            whole = encode(bytes(before) + value)
            inside = whole[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
            if len(inside) >= SHORTEST_INSIDE:
                forms.add(inside)
    return forms


def _touch(mark: bytes, form: bytes) -> bool:
    if mark in form or form in mark:
        return True
    ends = range(1, min(len(mark), len(form)))
    return any(mark.endswith(form[:length]) or form.endswith(mark[:length]) for length in ends)


def _whole(piece: bytes) -> int:
    """The length without a character or an escape sequence that has only begun."""
    end = len(piece)
    for back in range(1, min(4, end + 1)):
        byte = piece[-back]
        if byte >= 0xC0:
            end -= back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
            break
        if byte < 0x80:
            break
    begun = ESCAPE_BEGUN.search(piece, 0, end)
    return begun.start() if begun else end


def _text(piece: bytes) -> str:
    return piece.decode(errors="replace")


def _place(raw: bytes, end: int) -> int:
    """Where in the raw bytes the clean ones up to `end` stop."""
    place = 0
    for part in re.finditer(rb"[^\0]+", raw):
        length = part.end() - part.start()
        if end <= length:
            return part.start() + end if end else place
        end -= length
        place = part.end()
    return len(raw)


def _is_binary(raw: bytes) -> bool:
    sample = raw[: 8 * SAMPLE]
    return len(raw) >= SAMPLE and len(sample.translate(None, CONTROL)) < 0.95 * len(sample)

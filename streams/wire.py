"""What server and door agree on: who calls, what a request carries, how an answer is sent."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

import orjson

from streams.refusals import Malformed, Refusal, TooLarge
from streams.root import PREFIX
from streams.terms import Producer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Ring = Callable[[str, str, str], Awaitable[None]]

MOST_BODY = 8 << 20
MOST_SEALED = MOST_BODY + (512 << 10)  # bytes of a request's events in their envelopes
MOST_MESSAGE = 1 << 20
LONGEST_NAME = 256  # bytes of what is kept of a producer, or of a writer's place
TAILS = 100  # that one credential may have open
_NUMBER = re.compile(r"\d{1,16}", re.ASCII)
_PRODUCER = (b"producer-id", b"producer-epoch", b"producer-seq")
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"sandbox; default-src 'none'"),  # what somebody wrote never runs as a page of ours
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the door: arbe itself, or an agent in a house."""

    internal: bool
    agent_id: str | None = None
    house_id: str = ""
    credential: str = ""  # what they came in with, to be asked for again: `token ID` or `session KEY`
    stream: str = ""  # and what for: r to read it, w to append
    bit: str = "r"
    until: int = 0  # by a read link, which ends then (Unix seconds); 0 for everybody else


class Tails:
    """How many tails are open, by what their callers came in with; arbe itself has as many as it likes.

    A read link may be in many hands: all who follow a stream by links of one maker have ten times as many together.
    """

    def __init__(self, most: int = TAILS) -> None:
        self._most = most
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def one_more(self, caller: Caller) -> Iterator[None]:
        """As long as a tail is open. Refuses with 429 whoever has as many as they may."""
        if caller.internal:
            yield
            return
        by_link = bool(caller.until)
        who = caller.credential, caller.stream if by_link else ""
        most = 10 * self._most if by_link else self._most
        if self._open[who] >= most:
            detail = f"{most} tails are open already with what you came in by; close some, or ask without `live`."
            raise Refusal(429, "too_many_tails", detail, {"Retry-After": "5"})
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]


class Door(Protocol):
    """Decides who comes in. `scope["house"]` and `scope["stream"]` name what is asked for."""

    tails: Tails

    async def admit(self, scope: Scope) -> Caller:
        """The caller, or a Refusal."""
        ...

    async def still(self, caller: Caller, house: str) -> bool:
        """Whether a caller who follows a stream of this house may go on doing so."""
        ...


class OpenDoor:
    """Everybody is arbe itself: for tests, and for a server that only this machine can reach."""

    def __init__(self) -> None:
        self.tails = Tails()

    async def admit(self, scope: Scope) -> Caller:
        return Caller(internal=True)

    async def still(self, caller: Caller, house: str) -> bool:
        return True


class Request:
    """One HTTP request for one stream."""

    def __init__(self, scope: Scope, receive: Receive, name: str) -> None:
        self.scope, self.receive, self.name = scope, receive, name
        self.house, _, self.stream = name.rpartition("/") if name.count("/") == 1 else ("", "", name)
        self.method: str = scope["method"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])

    @cached_property
    def query(self) -> dict[str, list[str]]:
        raw = self.scope["query_string"].decode("latin-1")
        return parse_qs(raw, keep_blank_values=True) if raw else {}

    @property
    def source(self) -> str:
        """The name of the stream that is to be forked, as it is asked for; empty if none is."""
        return unquote((self.header(b"stream-forked-from") or "").partition("?")[0]).removeprefix(PREFIX)

    def header(self, name: bytes) -> str | None:
        found = self.headers.get(name)
        return None if found is None else found.decode("latin-1")

    def short(self, name: bytes, called: str) -> str | None:
        """A header that is kept with the stream, and must not fill it."""
        if len(self.headers.get(name, b"")) > LONGEST_NAME:
            raise Malformed(f"{called} has {LONGEST_NAME} bytes at most.")
        return self.header(name)

    def says(self, name: bytes) -> bool:
        return self.headers.get(name, b"").strip().lower() == b"true"

    def one(self, name: str) -> str | None:
        found = self.query.get(name)
        if found is None:
            return None
        if len(found) != 1:
            raise Malformed(f"The parameter {name} may be given once.")
        return found[0]

    def number(self, name: str, most: int) -> int | None:
        text = self.one(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text) or int(text) < 1:
            raise Malformed(f"The parameter {name} is a whole number above zero.")
        return min(int(text), most)

    async def body(self) -> bytes:
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > MOST_BODY:
            raise TooLarge(f"A request may hold {MOST_BODY >> 20} MB.")
        parts, size, more = [], 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Malformed("The request ended before its body did.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MOST_BODY:
                raise TooLarge(f"A request may hold {MOST_BODY >> 20} MB.")
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def producer(self) -> Producer | None:
        if self.headers.keys().isdisjoint(_PRODUCER):
            return None
        name, epoch, seq = self.short(_PRODUCER[0], "A Producer-Id"), *map(self.header, _PRODUCER[1:])
        if not name or epoch is None or seq is None:
            raise Malformed("Producer-Id, Producer-Epoch and Producer-Seq come together, and the id is not empty.")
        for text in (epoch, seq):
            if not _NUMBER.fullmatch(text) or int(text) >= 1 << 53:
                raise Malformed("Producer-Epoch and Producer-Seq are whole numbers below 2^53.")
        return Producer(name, int(epoch), int(seq))


async def answer(send: Send, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    if status not in (204, 304):
        lines.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": [*lines, *ALWAYS]})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, refusal: Refusal, bodiless: bool = False) -> None:
    text = orjson.dumps({"code": refusal.code, "detail": refusal.args[0]})
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"} | refusal.headers
    await answer(send, refusal.status, headers, b"" if bodiless else text)

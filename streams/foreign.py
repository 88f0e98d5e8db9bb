"""What a client says to a stream server that is not ours: the bare protocol, and the rest is on the client's side.

See `streams.client` for what that costs.
"""

from __future__ import annotations

import threading
from typing import Any

import orjson

from streams.calls import JSON, Address, Appended, Call, NoSuchStream, Page, Steps, StreamError, to_append
from streams.envelope import sealed
from streams.numbered import Numbered, never_given_out, number_of, offset_of, signed
from streams.ours import to_delete, to_shut, to_wait
from streams.refusals import Refusal
from streams.terms import Producer
from streams.wire import Caller

STREAMS = 100  # whose ends are kept in memory


class Foreign:
    """Any server that speaks the protocol. Its offsets stay in here; everybody else is told numbers."""

    def __init__(self) -> None:
        self._known: dict[Address, Numbered] = {}
        self._lock = threading.Lock()

    def create(self, at: Address) -> Steps[None]:
        yield Call("PUT", at.path, JSON)

    def append(self, at: Address, events: list[dict[str, Any]], producer: Producer | None) -> Steps[Appended]:
        try:
            messages = sealed(orjson.dumps(events), at.stream, Caller(internal=True))
        except Refusal as refusal:
            raise StreamError(refusal.status, refusal.code, str(refusal)) from refusal
        if producer:
            messages = [signed(message, producer, place) for place, message in enumerate(messages)]
        answer = yield to_append(at, b"[" + b",".join(messages) + b"]", producer)
        return Appended(None, producer is not None and answer.status == 204)

    def read(self, at: Address, offset: str, limit: int | None) -> Steps[Page]:
        known, number = yield from self._found(at, offset)
        page = known.after(number, limit)
        if page.next == offset_of(known.count) and not known.up_to_date:  # something may have come since
            known = yield from self._more(at, known)
            page = known.after(number, limit)
        return page

    def before(self, at: Address, offset: str, limit: int) -> Steps[Page]:
        known, number = yield from self._found(at, offset, limit)
        if known.first and len(known.before(number, limit).events) < limit:
            known = yield from self._reaching(at, Numbered(), number, limit)
        return known.before(number, limit)

    def poll(self, at: Address, offset: str, cursor: str | None) -> Steps[Page]:
        known, number = yield from self._found(at, offset)
        if known.count == number and not known.closed:
            known = yield from self._more(at, known, to_wait(at, known.end, cursor))
        return known.after(number, None)._replace(cursor=known.cursor)

    def head(self, at: Address) -> Steps[Page]:
        known, number = yield from self._found(at, "now")
        return known.after(number, None)

    def shut(self, at: Address) -> Steps[None]:
        yield to_shut(at)

    def delete(self, at: Address) -> Steps[None]:
        yield to_delete(at)
        self._forget(at)

    def _found(self, at: Address, offset: str, least: int = 1) -> Steps[tuple[Numbered, int]]:
        """What is known from an offset on, and of `least` events before it; and which number that is."""
        known = self._known.get(at) or Numbered()
        if offset == "now":
            while not known.up_to_date:
                known = yield from self._more(at, known.trimmed(least))
            return known, known.count
        number = number_of(offset)
        known = yield from self._reaching(at, known if known.first <= number else Numbered(), number, least)
        return known, number

    def _reaching(self, at: Address, known: Numbered, number: int, least: int) -> Steps[Numbered]:
        """What comes before is counted and let go of, all but `least` events."""
        while known.count < number:
            if known.up_to_date:
                raise never_given_out()
            known = yield from self._more(at, known.trimmed(least))
        return known

    def _more(self, at: Address, known: Numbered, call: Call | None = None) -> Steps[Numbered]:
        try:
            answer = yield call or Call("GET", at.path, query={"offset": known.end})
        except NoSuchStream:
            self._forget(at)
            raise
        grown = known.grown(answer.page(), len(answer.content))
        self._keep(at, grown)
        return grown

    def _keep(self, at: Address, known: Numbered) -> None:
        with self._lock:
            if at in self._known and known.count < self._known[at].count:
                return  # somebody else has read further
            self._known.pop(at, None)
            self._known[at] = known.remembered()
            if len(self._known) > STREAMS:
                del self._known[next(iter(self._known))]

    def _forget(self, at: Address) -> None:
        with self._lock:
            self._known.pop(at, None)

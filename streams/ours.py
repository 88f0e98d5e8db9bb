"""What a client says to arbe's own stream server, which knows envelopes and can be read backwards."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from streams.calls import JSON, Address, Appended, Call, Page, Steps, to_append
from streams.terms import Producer


class Speech(Protocol):
    """How to say each thing to one kind of server. Offsets are what the same speech gave out, `-1` and `now`."""

    def create(self, at: Address) -> Steps[None]: ...
    def append(self, at: Address, events: list[dict[str, Any]], producer: Producer | None) -> Steps[Appended]: ...
    def read(self, at: Address, offset: str, limit: int | None) -> Steps[Page]: ...
    def before(self, at: Address, offset: str, limit: int) -> Steps[Page]: ...
    def poll(self, at: Address, offset: str, cursor: str | None) -> Steps[Page]: ...
    def head(self, at: Address) -> Steps[Page]: ...
    def shut(self, at: Address) -> Steps[None]: ...
    def delete(self, at: Address) -> Steps[None]: ...


class Ours:
    """The whole of it is on the server's side."""

    def create(self, at: Address) -> Steps[None]:
        yield Call("PUT", at.path, JSON | {"Arbe-Envelope": "true"})

    def append(self, at: Address, events: list[dict[str, Any]], producer: Producer | None) -> Steps[Appended]:
        answer = yield to_append(at, orjson.dumps(events), producer)
        return Appended(answer.headers.get("stream-next-offset"), producer is not None and answer.status == 204)

    def read(self, at: Address, offset: str, limit: int | None) -> Steps[Page]:
        return (yield Call("GET", at.path, query={"offset": offset} | _at_most(limit))).page()

    def before(self, at: Address, offset: str, limit: int) -> Steps[Page]:
        return (yield Call("GET", at.path, query={"before": offset} | _at_most(limit))).page()

    def poll(self, at: Address, offset: str, cursor: str | None) -> Steps[Page]:
        page = (yield to_wait(at, offset, cursor)).page()
        return page if page.next else page._replace(next=offset)

    def head(self, at: Address) -> Steps[Page]:
        return (yield Call("HEAD", at.path)).page()._replace(up_to_date=True)

    def shut(self, at: Address) -> Steps[None]:
        yield to_shut(at)

    def delete(self, at: Address) -> Steps[None]:
        yield to_delete(at)


def to_wait(at: Address, offset: str, cursor: str | None) -> Call:
    query = {"offset": offset, "live": "long-poll"} | ({"cursor": cursor} if cursor else {})
    return Call("GET", at.path, query=query)


def to_shut(at: Address) -> Call:
    return Call("POST", at.path, {"Stream-Closed": "true"})


def to_delete(at: Address) -> Call:
    return Call("DELETE", at.path, fine=lambda status: 200 <= status < 300 or status in (404, 410))


def _at_most(limit: int | None) -> dict[str, str]:
    return {"limit": str(limit)} if limit else {}

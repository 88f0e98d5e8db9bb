"""What the client says to a stream server and how it reads the answers, without doing either: see `streams.client`."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import orjson

from streams.log import Producer

JSON = "application/json"
LONG_POLL = 90.0  # longer than any server lets a poll wait
SHORTEST = 1.0  # seconds that a server has for an answer, however impatient the caller is
FOR_A_MOMENT = {408, 425, 429, 500, 502, 503, 504, 507}


class StreamError(Exception):
    """A stream server said no, or could not be reached. `permanent` means that asking again cannot help."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = headers or {}

    @property
    def permanent(self) -> bool:
        return self.status != 0 and self.status not in FOR_A_MOMENT


class NoSuchStream(StreamError):
    """There is no stream at this address (any more)."""


class Fenced(StreamError):
    """Another life of this producer, with a higher epoch, has taken over."""


class Page(NamedTuple):
    """Some events of a stream, and where to go on from."""

    events: list[Any]
    next: str
    up_to_date: bool
    closed: bool
    prev: str | None = None
    cursor: str | None = None


class Appended(NamedTuple):
    next: str | None  # some servers do not say it for a duplicate
    duplicate: bool


class Pause(NamedTuple):
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    query: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None

    def options(self, patience: float) -> dict[str, Any]:
        # Caches between here and the server share answers only if everybody orders parameters the same way.
        query = dict(sorted(self.query.items()))
        # Whoever has little patience must not be held by a server that took the request and hangs.
        timeout = self.timeout or min(30.0, max(patience, SHORTEST))
        return {"headers": self.headers, "content": self.content, "params": query, "timeout": timeout}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    error: Exception | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Answer:
        return cls(response.status_code, response.headers, response.content)

    def page(self) -> Page:
        headers = self.headers
        return Page(
            orjson.loads(self.content) if self.content else [],
            headers.get("stream-next-offset", ""),
            headers.get("stream-up-to-date") == "true",
            headers.get("stream-closed") == "true",
            headers.get("stream-prev-offset"),
            headers.get("stream-cursor"),
        )

    def refusal(self) -> StreamError:
        if self.error:
            return StreamError(0, "unreachable", f"The stream server cannot be reached: {self.error!r}.")
        try:
            said = orjson.loads(self.content)
            code, detail = said["code"], said["detail"]
        except (ValueError, TypeError, KeyError):
            code, detail = "stream_error", f"The stream server answered {self.status}."
        fenced = self.status == 403 and "producer-epoch" in self.headers
        kind = Fenced if fenced else NoSuchStream if self.status in (404, 410) else StreamError
        return kind(self.status, code, detail, self.headers)


Steps = Generator[Call | Pause, Answer, Answer]


def connection(base_url: str, key: str) -> dict[str, Any]:
    """How to connect; an address without a path means the usual place."""
    address = base_url.rstrip("/")
    if not urlsplit(address).path:
        address += "/v1/stream"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": address, "headers": headers, "limits": httpx.Limits(max_keepalive_connections=20)}


def create(house: str, stream: str, envelope: bool, patience: float) -> Generator[Call | Pause, Answer, str]:
    headers = {"Content-Type": JSON} | ({"Arbe-Envelope": "true"} if envelope else {})
    answer = yield from _ask(Call("PUT", _path(house, stream), headers), patience)
    return answer.headers.get("stream-next-offset", "")


def append(
    house: str, stream: str, messages: list[Any], producer: Producer | None, patience: float
) -> Generator[Call | Pause, Answer, Appended]:
    headers = {"Content-Type": JSON}
    if producer:
        headers |= {
            "Producer-Id": producer.id,
            "Producer-Epoch": str(producer.epoch),
            "Producer-Seq": str(producer.seq),
        }
    call = Call("POST", _path(house, stream), headers, orjson.dumps(messages))
    answer = yield from _ask(call, patience if producer else 0)
    return Appended(answer.headers.get("stream-next-offset"), producer is not None and answer.status == 204)


def shut(house: str, stream: str, patience: float) -> Generator[Call | Pause, Answer, str]:
    answer = yield from _ask(Call("POST", _path(house, stream), {"Stream-Closed": "true"}), patience)
    return answer.headers.get("stream-next-offset", "")


def delete(house: str, stream: str, patience: float) -> Generator[Call | Pause, Answer, None]:
    yield from _ask(Call("DELETE", _path(house, stream)), patience, fine=(404, 410))


def head(house: str, stream: str, patience: float) -> Generator[Call | Pause, Answer, Page]:
    answer = yield from _ask(Call("HEAD", _path(house, stream)), patience)
    return answer.page()._replace(up_to_date=True)


def read(
    house: str, stream: str, offset: str, limit: int | None, patience: float
) -> Generator[Call | Pause, Answer, Page]:
    query = {"offset": offset} | ({"limit": str(limit)} if limit else {})
    answer = yield from _ask(Call("GET", _path(house, stream), query=query), patience)
    return answer.page()


def poll(
    house: str, stream: str, offset: str, cursor: str | None, patience: float
) -> Generator[Call | Pause, Answer, Page]:
    query = {"offset": offset, "live": "long-poll"} | ({"cursor": cursor} if cursor else {})
    answer = yield from _ask(Call("GET", _path(house, stream), query=query, timeout=LONG_POLL), patience)
    page = answer.page()
    return page if page.next else page._replace(next=offset)


def before(house: str, stream: str, offset: str, limit: int, patience: float) -> Generator[Call | Pause, Answer, Page]:
    """The last events before an offset; from a server without the extension, by reading everything before it."""
    query = {"before": offset, "limit": str(limit)}
    answer = yield from _ask(Call("GET", _path(house, stream), query=query), patience)
    page = answer.page()
    if answer.headers.get("arbe-backwards") == "true":
        return page
    return (yield from _before_by_reading(house, stream, page, offset, limit, patience))


def _before_by_reading(
    house: str, stream: str, page: Page, offset: str, limit: int, patience: float
) -> Generator[Call | Pause, Answer, Page]:
    # Such a server has answered with the beginning of the stream. Pages end where it likes, so the event at which
    # `offset` lies is known only in streams whose events carry their own.
    events: list[Any] = []
    while True:
        events += [event for event in page.events if offset == "now" or event["seq"] <= offset]
        if page.up_to_date or (offset != "now" and page.next >= offset):
            break
        page = yield from read(house, stream, page.next, None, patience)
    chosen, left = events[-limit:], events[:-limit]
    end = page.next if offset == "now" else offset
    return Page(chosen, end, page.up_to_date, page.closed, left[-1].get("seq") if left else None)


def _ask(call: Call, patience: float, fine: tuple[int, ...] = ()) -> Steps:
    """Ask until there is an answer that asking again would not change, or patience ends."""
    deadline, wait = time.monotonic() + patience, 0.05
    while True:
        answer = yield call
        if 200 <= answer.status < 300 or answer.status in fine:
            return answer
        refusal = answer.refusal()
        if refusal.permanent or time.monotonic() + wait > deadline:
            raise refusal from answer.error
        yield Pause(wait * random.uniform(0.5, 1.0))  # noqa: S311  # only to spread the crowd
        wait = min(wait * 2, 2.0)


def _path(house: str, stream: str) -> str:
    return f"/{quote(house, safe='')}/{quote(stream, safe='')}"

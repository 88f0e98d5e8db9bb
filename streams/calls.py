"""What a client says to a stream server and how it reads the answers, without doing either: see `streams.client`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import orjson

from streams.root import PREFIX
from streams.terms import Producer

T = TypeVar("T")
JSON = {"Content-Type": "application/json"}
LONG_POLL = 90.0  # seconds, longer than any server lets a poll wait
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

    @property
    def retry_after(self) -> float:
        """Seconds for which the server wants to be left alone; 0 if it did not say."""
        said = self.headers.get("retry-after", "")
        if said.isascii() and said.isdigit():
            return float(said)
        try:
            at = parsedate_to_datetime(said)
        except ValueError:
            return 0.0
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


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
    """`next` is where to read on from; None if the server does not say it, or in words that only itself knows."""

    next: str | None
    duplicate: bool


class Address(NamedTuple):
    """Where a stream is."""

    house: str
    stream: str

    @property
    def path(self) -> str:
        return f"/{quote(self.house, safe='')}/{quote(self.stream, safe='')}"


class Pause(NamedTuple):
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """One request. One that does not repeat is said again only if it surely was not heard."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    query: dict[str, str] = field(default_factory=dict)
    fine: Callable[[int], bool] = lambda status: 200 <= status < 300
    repeats: bool = True

    @property
    def waits(self) -> bool:
        return "live" in self.query

    def options(self, patience: float) -> dict[str, Any]:
        # Caches between here and the server share answers only if everybody orders parameters the same way.
        query = dict(sorted(self.query.items()))
        # Whoever has little patience must not be held by a server that took the request and hangs.
        timeout = LONG_POLL if self.waits else min(30.0, max(patience, SHORTEST))
        return {"headers": self.headers, "content": self.content, "params": query, "timeout": timeout}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    events: list[Any] = field(default_factory=list)
    error: Exception | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Answer:
        """An answer whose events cannot be read is as good as none."""
        status, content, events = response.status_code, response.content, []
        if status == 200 and content and response.request.method == "GET":
            try:
                events = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                return cls(0, error=error)
        return cls(status, response.headers, content, events)

    def says(self, name: str) -> bool:
        return self.headers.get(name, "").lower() == "true"

    def page(self) -> Page:
        says = self.headers.get
        is_new, is_closed = self.says("stream-up-to-date"), self.says("stream-closed")
        return Page(
            self.events,
            says("stream-next-offset", ""),
            is_new,
            is_closed,
            says("stream-prev-offset"),
            says("stream-cursor"),
        )

    def refusal(self) -> StreamError:
        if self.error:
            return StreamError(0, "unreachable", f"The stream server cannot be reached: {self.error!r}.")
        try:
            said = orjson.loads(self.content)
            code, detail = said["code"], said["detail"]
        except (ValueError, TypeError, KeyError):
            code, detail = self._by_the_protocol()
        kind = Fenced if code == "producer_fenced" else NoSuchStream if self.status in (404, 410) else StreamError
        return kind(self.status, code, detail, self.headers)

    def _by_the_protocol(self) -> tuple[str, str]:
        """What a server meant that has words of its own for it, or none."""
        expected = self.headers.get("producer-expected-seq")
        if self.status in (404, 410):
            return "not_found", "There is no such stream."
        if self.status == 409 and self.says("stream-closed"):
            return "closed", "The stream is closed; nothing can be added to it."
        if self.status == 409 and expected is not None:
            return "producer_gap", f"Producer-Seq {expected} comes next."
        if self.status == 403 and "producer-epoch" in self.headers:
            return "producer_fenced", "A newer life of this producer has taken over."
        if self.status == 413:
            return "too_large", "That is more than the stream server takes in one request."
        own = self.content[:200].decode(errors="replace").strip()
        return "stream_error", f"The stream server answered {self.status}{': ' + own if own else ''}."


# What is said, one call after the other, each of which gets an answer that is fine.
Steps = Generator[Call, Answer, T]
# The same with its failures and pauses.
Attempts = Generator[Call | Pause, Answer, T]


def connection(address: str, key: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": address, "headers": headers, "limits": httpx.Limits(max_keepalive_connections=20)}


def streams_under(url: str) -> str:
    """The address below which the streams of a server are; one without a path means the usual place."""
    address = url.rstrip("/")
    return address if urlsplit(address).path else address + PREFIX.rstrip("/")


def to_append(at: Address, body: bytes, producer: Producer | None) -> Call:
    said = {} if producer is None else _introduced(producer)
    return Call("POST", at.path, JSON | said, body, repeats=producer is not None)


def _introduced(producer: Producer) -> dict[str, str]:
    return {
        "Producer-Id": producer.id,
        "Producer-Epoch": str(producer.epoch),
        "Producer-Seq": str(producer.seq),
    }


def persistently(steps: Steps[T], patience: float) -> Attempts[T]:
    """Each call until its answer is fine, or until asking again cannot help; `patience` in seconds for each."""
    try:
        call = next(steps)
        while True:
            try:
                answer = yield from _answered(call, patience)
            except StreamError as refusal:
                call = steps.throw(refusal)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        result: T = done.value
        return result


def _answered(call: Call, patience: float) -> Attempts[Answer]:
    deadline = 0.0 if call.waits else time.monotonic() + patience
    wait = 0.05
    while True:
        answer = yield call
        if call.fine(answer.status):
            return answer
        refusal = answer.refusal()
        deadline = deadline or time.monotonic() + patience  # to have waited for news is no failure yet
        pause = max(wait * random.uniform(0.5, 1.0), refusal.retry_after)  # noqa: S311  # only to spread the crowd
        if not _may_say_again(call, answer, refusal) or time.monotonic() + pause > deadline:
            raise refusal from answer.error
        yield Pause(pause)
        wait = min(wait * 2, 2.0)


def _may_say_again(call: Call, answer: Answer, refusal: StreamError) -> bool:
    unheard = answer.status == 429 or isinstance(answer.error, httpx.ConnectError | httpx.ConnectTimeout)
    return not refusal.permanent and (call.repeats or unheard)

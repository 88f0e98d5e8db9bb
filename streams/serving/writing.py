"""Requests that change a stream: create, append, close, delete."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from houses.measures import APPEND_SECONDS, APPENDS
from streams import jsontext
from streams.envelope import sealed
from streams.offsets import Offset
from streams.raw import NAMES, is_raw
from streams.refusals import Malformed, Refusal, TooLarge, WrongType
from streams.root import PREFIX
from streams.serving.reading import lifetime
from streams.storage.log import StreamLog
from streams.storage.store import Store
from streams.terms import Append, Appended, Settings, media_type
from streams.wire import MOST_MESSAGE, MOST_SEALED, Caller, Request, Send, answer

if TYPE_CHECKING:
    from streams.owning import Owning  # which brings Django along, and a server alone does without

_WHOLE = re.compile(r"0|[1-9]\d{0,14}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_WORD = r"[!#$%&'*+.^_`|~\w-]+"
# No comma and no semicolon in a value: what comes behind one, some would take for another type.
_VALUE = rf'({_WORD}|"[\t !#-+\--:<-\[\]-~]*")'
_TYPE = re.compile(rf"{_WORD}/{_WORD}([ \t]*;[ \t]*{_WORD}={_VALUE})*", re.ASCII)


class Writing:
    """Parses, asks the store, answers. `owning` knows the raw streams of houses, which alone are agents' to make."""

    def __init__(self, store: Store, owning: Owning | None = None) -> None:
        self._store, self._owning = store, owning

    async def create(self, request: Request, caller: Caller, send: Send) -> None:
        _allow(caller.internal or is_raw(request.stream), f"create streams but those called {NAMES}")
        origin = _origin(request)
        _allow(origin is None or caller.internal, "fork streams")
        settings = _settings(request, origin)
        if origin and not settings.content_type:
            source = await self._store.find(origin.source)
            if source:
                of_source = source.settings
                settings = replace(settings, content_type=of_source.content_type, enveloped=of_source.enveloped)
        body = await request.body()
        first = Append(_messages(body, settings, request, caller) if body else [], request.says(b"stream-closed"))
        if origin:
            made = await self._store.fork(request.name, settings, first, *origin)
        elif caller.internal:
            made = await self._store.create(request.name, settings, first)
        else:
            made = await self._create_raw(request, caller, settings, first)
        headers = {"Content-Type": settings.content_type, "Stream-Next-Offset": str(made.next)} | lifetime(settings)
        if made.closed:
            headers["Stream-Closed"] = "true"
        if not made.duplicate:
            headers["Location"] = _address(request)
        await answer(send, 200 if made.duplicate else 201, headers)

    async def append(self, request: Request, caller: Caller, send: Send) -> None:
        body = await request.body()
        stream = await self._store.get(request.name)
        append = self._parse(request, caller, stream, body)
        began = perf_counter()
        done = await self._store.append(stream, append)
        APPEND_SECONDS.observe(perf_counter() - began)
        APPENDS.inc()
        headers = {"Stream-Next-Offset": str(done.next)}
        if done.closed:
            headers["Stream-Closed"] = "true"
        if done.producer:
            headers["Producer-Epoch"] = str(done.producer.epoch)
            headers["Producer-Seq"] = str(done.producer.seq)
        if append.expected:
            headers["ETag"] = f'"{done.next}"'
        accepted = done.producer and not done.duplicate and not append.close_only
        await answer(send, 200 if accepted else 204, headers)

    async def delete(self, request: Request, caller: Caller, send: Send) -> None:
        _allow(caller.internal or is_raw(request.stream), f"delete streams but those called {NAMES}")
        unmake = partial(self._store.delete, request.name)
        await (unmake() if caller.internal else self._own().delete(caller, unmake))
        await answer(send, 204)

    async def _create_raw(self, request: Request, caller: Caller, settings: Settings, first: Append) -> Appended:
        if settings.enveloped:
            raise Malformed("A raw stream has no envelopes: those are for the streams of threads.")
        make = partial(self._store.create, request.name, settings, first)
        return await self._own().create(caller, settings.content_type, make, self._is_there)

    async def _is_there(self, name: str) -> bool:
        return await self._store.find(name) is not None

    def _own(self) -> Owning:
        if self._owning is None:
            raise Refusal(501, "not_implemented", "This server keeps no raw streams for houses.")
        return self._owning

    def _parse(self, request: Request, caller: Caller, stream: StreamLog, body: bytes) -> Append:
        close, sequence = request.says(b"stream-closed"), request.short(b"stream-seq", "A Stream-Seq")
        # One member must not end the log of a thread, nor stand in for another writer of it.
        may = caller.internal or is_raw(request.stream) or not (close or sequence is not None)
        _allow(may, "close this stream, or number its appends")
        if not body and not close:
            raise Malformed("There is nothing to append; an empty body only closes, with Stream-Closed: true.")
        messages: list[bytes] = []
        producer = request.producer()
        if producer and not caller.internal:
            producer = producer._replace(id=f"agent {caller.agent_id} {producer.id}")
        # A closed stream says so before anything is said about the type or the text of what was brought.
        if body and not stream.closed:
            given = request.header(b"content-type")
            if not given:
                raise Malformed("An append names its Content-Type.")
            if media_type(given) != stream.settings.base_type:
                raise WrongType(f"This stream holds {stream.settings.base_type}.")
            messages = _messages(body, stream.settings, request, caller)
            if not messages:
                raise Malformed("An empty list appends nothing.")
        return Append(messages, close, close and not body, producer, sequence, _expected(request))


def _messages(body: bytes, settings: Settings, request: Request, caller: Caller) -> list[bytes]:
    if settings.enveloped:
        found = sealed(body, request.stream, caller)
        if sum(map(len, found)) > MOST_SEALED:
            raise TooLarge(f"In their envelopes these events have more than {MOST_SEALED / (1 << 20)} MB; send fewer.")
    elif settings.is_json:
        found = jsontext.messages(body)
    else:
        found = [body]
    if not caller.internal and any(len(message) > MOST_MESSAGE for message in found):
        raise TooLarge(f"A message may hold {MOST_MESSAGE >> 20} MB.")
    return found


class Origin(NamedTuple):
    """From which stream a fork is asked for, up to where (its tail if None), and how much beyond."""

    source: str
    at: Offset | None
    sub: int


def _origin(request: Request) -> Origin | None:
    source, at, sub = map(request.header, (b"stream-forked-from", b"stream-fork-offset", b"stream-fork-sub-offset"))
    if source is None:
        if sub is not None or at is not None:
            raise Malformed("Stream-Fork-Offset and Stream-Fork-Sub-Offset go with Stream-Forked-From.")
        return None
    if not source.startswith(PREFIX) or not request.source:
        raise Malformed(f"Stream-Forked-From is the path of a stream: {PREFIX}…")
    offset = None if at is None else Offset.parse(at)
    if at is not None and offset is None:
        raise Malformed("Stream-Fork-Offset is an offset that this server gave out.")
    if sub is not None and not _WHOLE.fullmatch(sub):
        raise Malformed("Stream-Fork-Sub-Offset is a whole number.")
    if int(sub or 0) and at is None:
        raise Malformed("A Stream-Fork-Sub-Offset goes with a Stream-Fork-Offset.")
    return Origin(request.source, offset, int(sub or 0))


def _settings(request: Request, origin: Origin | None) -> Settings:
    """What a stream is created with; a fork may leave its type to the stream it is forked from."""
    enveloped = request.says(b"arbe-envelope")
    usual = "application/json" if enveloped else "" if origin else "application/octet-stream"
    content_type = request.header(b"content-type") or usual
    if content_type and not _TYPE.fullmatch(content_type):
        raise Malformed("The Content-Type is not a media type.")
    ttl, expires_at, retain = map(request.header, (b"stream-ttl", b"stream-expires-at", b"arbe-retain"))
    for name, text in (("Stream-TTL, in seconds,", ttl), ("Arbe-Retain, in bytes,", retain)):
        if text is not None and not _WHOLE.fullmatch(text):
            raise Malformed(f"{name} is a whole number.")
    if ttl is not None and expires_at is not None:
        raise Malformed("A stream has a Stream-TTL or a Stream-Expires-At, not both.")
    if expires_at is not None and not _is_instant(expires_at):
        raise Malformed("Stream-Expires-At is a time like 2030-01-31T12:00:00Z (RFC 3339).")
    settings = Settings(
        content_type,
        enveloped,
        ttl=None if ttl is None else int(ttl),
        expires_at=expires_at,
        retain=None if retain is None else int(retain),
    )
    if enveloped and not settings.is_json:
        raise Malformed("An enveloped stream is application/json.")
    return settings


def _is_instant(text: str) -> bool:
    try:
        return bool(_INSTANT.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _expected(request: Request) -> Offset | None:
    """Where the writer believes the tail to be: `If-Match`, as an ETag or bare."""
    given = request.header(b"if-match")
    if given is None:
        return None
    if b"producer-id" in request.headers:
        raise Malformed("If-Match and a Producer-Id say different things of what to do on a retry; send one of them.")
    offset = Offset.parse(given.strip().removeprefix('"').removesuffix('"'))
    if offset is None:
        raise Malformed("If-Match is the offset at which the stream has to end.")
    return offset


def _allow(allowed: bool, what: str) -> None:
    if not allowed:
        raise Refusal(403, "not_allowed", f"You may not {what}.")


def _address(request: Request) -> str:
    host = request.header(b"host") or "localhost"
    path = request.scope.get("raw_path", request.scope["path"].encode()).decode("latin-1").partition("?")[0]
    return f"{request.scope.get('scheme', 'http')}://{host}{path}"

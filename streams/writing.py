"""Requests that change a stream: create, append, close, delete."""

from __future__ import annotations

from houses.measures import APPEND_SECONDS, APPENDS
from streams import jsontext
from streams.envelope import sealed
from streams.log import Append, Settings, StreamLog, media_type
from streams.refusals import Malformed, NoStream, NotYet, Refusal, TooLarge, WrongType
from streams.store import Store
from streams.wire import MOST_MESSAGE, Caller, Request, Send, answer

_LATER = (b"stream-ttl", b"stream-expires-at", b"stream-forked-from", b"stream-fork-offset", b"stream-fork-sub-offset")


class Writing:
    """Parses, asks the store, answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, request: Request, caller: Caller, send: Send) -> None:
        _allow(caller.internal, "create streams")
        for name in _LATER:
            if name in request.headers:
                raise NotYet(f"This server does not know {name.decode()} yet.")
        enveloped = request.says(b"arbe-envelope")
        content_type = request.header(b"content-type")
        content_type = content_type or ("application/json" if enveloped else "application/octet-stream")
        settings = Settings(content_type, enveloped)
        if enveloped and not settings.is_json:
            raise Malformed("An enveloped stream is application/json.")
        if "/" not in content_type or not content_type.isascii() or not content_type.isprintable():
            raise Malformed("The Content-Type is not a media type.")
        body = await request.body()
        first = Append(_messages(body, settings, request, caller) if body else [], request.says(b"stream-closed"))
        made = await self._store.create(request.name, settings, first)
        headers = {"Content-Type": content_type, "Stream-Next-Offset": str(made.next)}
        if made.closed:
            headers["Stream-Closed"] = "true"
        if not made.duplicate:
            headers["Location"] = _address(request)
        await answer(send, 200 if made.duplicate else 201, headers)

    async def append(self, request: Request, caller: Caller, send: Send) -> None:
        stream = await self._store.find(request.name)
        body = await request.body()
        if stream is None:
            raise NoStream("There is no such stream.")
        append = self._parse(request, caller, stream, body)
        with APPEND_SECONDS.time():
            done = await self._store.append(stream, append)
        APPENDS.inc()
        headers = {"Stream-Next-Offset": str(done.next)}
        if done.closed:
            headers["Stream-Closed"] = "true"
        if done.producer:
            headers["Producer-Epoch"] = str(done.producer.epoch)
            headers["Producer-Seq"] = str(done.producer.seq)
        accepted = done.producer and not done.duplicate and not append.close_only
        await answer(send, 200 if accepted else 204, headers)

    async def delete(self, request: Request, caller: Caller, send: Send) -> None:
        _allow(caller.internal, "delete streams")
        await self._store.delete(request.name)
        await answer(send, 204)

    def _parse(self, request: Request, caller: Caller, stream: StreamLog, body: bytes) -> Append:
        close, sequence = request.says(b"stream-closed"), request.header(b"stream-seq")
        # One member must not end what a house shares, nor stand in for another writer of it.
        _allow(caller.internal or not (close or sequence is not None), "close this stream, or number its appends")
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
        return Append(messages, close, close and not body, producer, sequence)


def _messages(body: bytes, settings: Settings, request: Request, caller: Caller) -> list[bytes]:
    if settings.enveloped:
        found = sealed(body, request.stream, caller)
    elif settings.is_json:
        found = jsontext.messages(body)
    else:
        found = [body]
    if not caller.internal and any(len(message) > MOST_MESSAGE for message in found):
        raise TooLarge(f"A message may hold {MOST_MESSAGE >> 20} MB.")
    return found


def _allow(allowed: bool, what: str) -> None:
    if not allowed:
        raise Refusal(403, "not_allowed", f"You may not {what}.")


def _address(request: Request) -> str:
    host = request.header(b"host") or "localhost"
    path = request.scope.get("raw_path", request.scope["path"].encode()).decode("latin-1").partition("?")[0]
    return f"{request.scope.get('scheme', 'http')}://{host}{path}"

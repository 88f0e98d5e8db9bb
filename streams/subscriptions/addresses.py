"""The addresses under ROOT/__ds/: subscriptions, and what those who are woken say.

Only arbe itself makes, sees and claims subscriptions (a server that is open takes everybody for it). Whoever has been
woken shows a token that came with the wake, and everybody may read the key that signs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson

from streams.offsets import Offset
from streams.refusals import NoStream, Refusal, TooLarge
from streams.storage.store import Store
from streams.subscriptions.configuration import (
    MOST_LINKS,
    PULL,
    RESERVED,
    WEBHOOK,
    Configuration,
    No,
    path,
    paths,
    wrong,
)
from streams.subscriptions.progress import Progress
from streams.subscriptions.register import Register
from streams.subscriptions.signing import Token
from streams.subscriptions.subscription import Subscription
from streams.subscriptions.webhooks import Webhooks
from streams.wire import Door, Request, Send, answer

MOST_BODY = 1 << 20
LONGEST_WORKER = 200
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:~@=+-]{0,127}")
Answer = tuple[int, Any]


class Addresses:
    """Answers them; `base` is what callers put before `/__ds/`, where it is not what a request was sent to."""

    def __init__(self, store: Store, door: Door, *, is_open: bool, base: str | None = None) -> None:
        self._door, self._is_open, self._base = door, is_open, base
        self._all = Register(store, Webhooks(is_open), base)
        self._verbs: dict[str, Callable[[Request, Subscription], Awaitable[Answer]]] = {
            "callback": partial(self._ack, kind=WEBHOOK),
            "ack": partial(self._ack, kind=PULL),
            "release": self._release,
        }

    async def close(self) -> None:
        await self._all.close()

    async def answer(self, request: Request, send: Send) -> None:
        try:
            status, said = await self._route(request)
            kind = "application/json"
        except No as no:
            error = {"code": no.code, "message": no.args[0]} | no.more
            status, said, kind = no.status, {"error": error}, "application/json"
        headers = {"Cache-Control": "no-store", "Content-Type": kind}
        if isinstance(said, dict) and "keys" in said:
            headers = {"Cache-Control": "public, max-age=300", "Content-Type": "application/jwk-set+json"}
        await answer(send, status, headers if status != 204 else {}, b"" if status == 204 else orjson.dumps(said))

    async def _route(self, request: Request) -> Answer:
        where = request.name.split("/", 3)
        if where[:2] == [RESERVED, "jwks.json"] and len(where) == 2:
            _only(request, "GET")
            await self._all.ready()
            return 200, {"keys": [(await self._all.keys()).jwk]}
        if where[:2] != [RESERVED, "subscriptions"] or len(where) < 3 or not _ID.fullmatch(where[2]):
            raise NoStream("There is nothing at this address.")
        name, rest = where[2], where[3] if len(where) == 4 else ""
        if rest in self._verbs:
            _only(request, "POST")
            await self._all.ready()
            return await self._verbs[rest](request, await self._woken(request, name))
        await self._admit(request)
        await self._all.ready()
        if not rest:
            return await self._base_address(request, name)
        return await self._below(request, self._get(name), rest)

    async def _base_address(self, request: Request, name: str) -> Answer:
        _only(request, "GET", "PUT", "DELETE")
        if request.method == "GET":
            return 200, await self._told(self._get(name))
        if request.method == "DELETE":
            await self._all.end(name)
            return 204, None
        config = Configuration.read(await _json(request), is_open=self._is_open)
        subscriber, is_new = await self._all.make(name, config, self._base or _base(request))
        return 201 if is_new else 200, await self._told(subscriber)

    async def _below(self, request: Request, subscriber: Subscription, rest: str) -> Answer:
        if rest == "claim":
            _only(request, "POST")
            return await self._claim(request, subscriber)
        if rest == "streams":
            _only(request, "POST")
            names = paths((await _json(request)).get("streams"))
            config = subscriber.standing.config
            if not self._is_open:
                config.check_house(names)
            if config.wake_stream in names:
                raise wrong("A subscription cannot follow the stream that its own wakes go to.")
            await self._all.add(subscriber, names)
            return 204, None
        if rest.startswith("streams/"):
            _only(request, "DELETE")
            await self._all.remove(subscriber, path(rest.removeprefix("streams/"), "A stream"))
            return 204, None
        raise NoStream("There is nothing at this address.")

    async def _claim(self, request: Request, subscriber: Subscription) -> Answer:
        worker = (await _json(request)).get("worker")
        if not isinstance(worker, str) or not 1 <= len(worker) <= LONGEST_WORKER:
            raise wrong(f"The worker is a text of 1 to {LONGEST_WORKER} characters.")
        _is_of(subscriber, PULL)

        def claim(draft: Progress, now: float) -> None:
            if draft.wake and draft.wake.holder:
                more = {"current_holder": draft.wake.holder, "generation": draft.generation}
                raise No(409, "ALREADY_CLAIMED", "Somebody else is at work on it.", **more)
            if not draft.pending():
                raise No(409, "NO_PENDING_WORK", "There is nothing new.")
            draft.hold(now, worker)

        now = await subscriber.change(claim)
        token = (await self._all.keys()).token(now.id, Token(now.birth, now.generation))
        return 200, {
            "wake_id": now.wake.id if now.wake else None,
            "generation": now.generation,
            "token": token,
            "streams": now.news(),
            "lease_ttl_ms": now.config.lease,
        }

    async def _ack(self, request: Request, subscriber: Subscription, kind: str) -> Answer:
        _is_of(subscriber, kind)
        told, token = await _json(request), await self._token(request, subscriber.id)
        acks, is_done = _acks(told), told.get("done") is True

        def ack(draft: Progress, now: float) -> None:
            draft.check(token, told)
            draft.ack(acks)
            if is_done:
                draft.end()
            else:
                draft.hold(now)

        now = await subscriber.change(ack)
        return 200, {"ok": True, "next_wake": is_done and now.wake is not None}

    async def _release(self, request: Request, subscriber: Subscription) -> Answer:
        _is_of(subscriber, PULL)
        told, token = await _json(request), await self._token(request, subscriber.id)

        def release(draft: Progress, now: float) -> None:
            draft.check(token, told)
            draft.end()

        await subscriber.change(release)
        return 204, None

    async def _admit(self, request: Request) -> None:
        request.scope["house"], request.scope["stream"] = "", ""
        caller = await self._door.admit(request.scope)
        if not caller.internal:
            raise NoStream("There is nothing at this address.")

    async def _woken(self, request: Request, name: str) -> Subscription:
        """The subscription, for somebody who has a token of it; nobody else learns whether it is there."""
        await self._token(request, name)
        return self._get(name)

    async def _token(self, request: Request, name: str) -> Token:
        kind, _, text = (request.header(b"authorization") or "").partition(" ")
        token = (await self._all.keys()).read(name, text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise No(401, "TOKEN_INVALID", "Send the token that came with the wake: Authorization: Bearer …")
        return token

    def _get(self, name: str) -> Subscription:
        subscriber = self._all.all.get(name)
        if subscriber is None:
            raise No(404, "SUBSCRIPTION_NOT_FOUND", "There is no such subscription.")
        return subscriber

    async def _told(self, subscriber: Subscription) -> dict[str, Any]:
        return subscriber.standing.told((await self._all.keys()).kid)


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Refusal(405, "method", f"This address answers to {allowed}.", {"Allow": allowed})


def _is_of(subscriber: Subscription, kind: str) -> None:
    if subscriber.standing.config.type != kind:
        raise wrong(f"This is for subscriptions of the type {kind}.")


async def _json(request: Request) -> dict[str, Any]:
    body = await request.body()
    if len(body) > MOST_BODY:
        raise TooLarge(f"This may hold {MOST_BODY >> 20} MB.")
    try:
        told = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise wrong(f"The body is not valid JSON: {error}.") from None
    if not isinstance(told, dict):
        raise wrong("The body is a JSON object.")
    return told


def _acks(told: dict[str, Any]) -> dict[str, Offset]:
    acks = told.get("acks") or []
    if not isinstance(acks, list) or len(acks) > MOST_LINKS or not all(isinstance(each, dict) for each in acks):
        raise wrong(f"The acks are a list of at most {MOST_LINKS} objects with stream and offset.")
    found = {}
    for each in acks:
        text = each.get("offset")
        offset = Offset.parse(text) if isinstance(text, str) else None
        if offset is None:
            raise No(409, "INVALID_OFFSET", "Each of the acks has an offset that this server gave out.")
        found[path(each.get("stream") or each.get("path"), "The stream of each of the acks")] = offset
    return found


def _base(request: Request) -> str:
    host = request.header(b"host") or "localhost"
    where = request.scope["path"].partition(f"/{RESERVED}/")[0]
    return f"{request.scope.get('scheme', 'http')}://{host}{where}"

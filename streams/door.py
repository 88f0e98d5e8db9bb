"""Who may touch a stream: arbe itself, and whoever may do as much with what it tells. One check, at one place.

Those who stay are asked about together: however many follow the streams of a house, a round of questions is for all.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import NamedTuple
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from houses.agents import Agent
from houses.attempts import client_address, wrong_token
from houses.credentials import Token
from houses.models import Member
from houses.refusals import Refused, TooMany
from houses.rights import capped
from houses.scopes import R, W
from houses.tenancy import inside
from streams import links
from streams.bearers import bearers
from streams.raw import is_raw
from streams.refusals import NoStream, Refusal
from streams.wire import Caller, Scope, Tails

AGAIN = 0.5  # seconds for which an answer holds: revoked means closed, within twice that time
STAYS = 5.0  # seconds after which somebody who did not ask again has gone
# Of a session: anything else is not one, and no question for the database. Python's own reader of cookies takes time
# that grows with the square of their length.
KEY = re.compile(rb'"?([a-z0-9]{8,64})"?')
LONGEST_COOKIES = 8 << 10  # bytes
# The bits that agents have on streams of a house: (house, [(stream, agent)]) -> some of `rwx` for each.
Bits = Callable[[str, Sequence[tuple[str, Agent]]], list[str]]


class Asked(NamedTuple):
    """What a question is about: who may what with a stream, by what they came in with."""

    stream: str
    agent: str
    credential: str


def of_members(house: str, asked: Sequence[tuple[str, Agent]]) -> list[str]:
    """Whoever is in the house reads and writes its streams, where nobody knows what they tell."""
    with inside(house):
        among = Member.objects.filter(agent_id__in={agent.pk for _, agent in asked}, agent__is_active=True)
        members = set(among.values_list("agent_id", flat=True))
    return [capped(agent, R + W) if agent.pk in members else "" for _, agent in asked]


class HouseDoor:
    """Admits the internal key, a bot's token or a person's session, and asks again while a tail lives.

    What somebody may do with a stream is for `bits` to say, which knows what is told there.
    """

    def __init__(self, bits: Bits = of_members) -> None:
        self._bits_on = bits
        self.tails = Tails(settings.STREAM_TAILS)
        self._known: dict[tuple[str, Asked], tuple[float, str]] = {}
        self._staying: dict[str, dict[Asked, float]] = {}
        self._rounds: dict[str, asyncio.Task[None]] = {}

    async def admit(self, scope: Scope) -> Caller:
        if links.comes_with(scope):  # then nothing else counts: what it shows may be kept for whoever has it
            return await self._by_link(scope)
        known = await self.recognise(scope)
        return known if known.internal else await self.let_in(known, str(scope.get("stream", "")), scope["method"])

    async def recognise(self, scope: Scope) -> Caller:
        """Who is there, by what they show; of what they may nothing is said yet. Refuses whoever shows nothing."""
        headers = dict(scope["headers"])
        sent = headers.get(b"authorization")
        bearer = None if sent is None else sent.decode("latin-1").removeprefix("Bearer ").strip()
        if bearer and settings.STREAMS_KEY and hmac.compare_digest(bearer.encode(), settings.STREAMS_KEY.encode()):
            return Caller(internal=True)
        try:
            agent_id, credential = await _whose(bearer, _session_key(headers.get(b"cookie", b"")), scope)
        except Refused as refused:
            later = {"Retry-After": str(refused.retry_after)} if isinstance(refused, TooMany) else None
            raise Refusal(refused.status, refused.code, refused.detail, later) from refused
        if agent_id is None:
            raise Refusal(401, "unauthenticated", "Sign in, or send a token: Authorization: Bearer arbe_…")
        return Caller(False, str(agent_id), str(scope.get("house", "")), credential)

    async def let_in(self, known: Caller, stream: str, method: str) -> Caller:
        """Somebody who was recognised, to a stream of the house they asked for. Refuses whoever may not."""
        changes = method == "POST" or (method in ("PUT", "DELETE") and is_raw(stream))
        bit = W if changes else R
        caller = replace(known, stream=stream, bit=bit)
        bits = await self._bits(caller, known.house_id) if known.house_id else ""
        if R not in bits:
            raise NoStream("There is no such stream.")
        if bit not in bits:
            raise Refusal(403, "forbidden", "You may read this stream and not write to it: that takes w.")
        return caller

    async def still(self, caller: Caller, house: str, *, since: float | None = None) -> bool:
        """Whether the caller may (still) do what they came for, by what they came in with.

        Answered as of `since` (on the monotonic clock) or later; by default as of half a second ago.
        """
        if caller.internal or (caller.until and caller.until <= time.time()):
            return caller.internal
        who, now = _asked(caller), time.monotonic()
        self._staying.setdefault(house, {})[who] = now
        since = now - AGAIN if since is None else since
        while (bits := self._answer(house, who, since)) is None:
            self._staying.setdefault(house, {})[who] = time.monotonic()
            if house not in self._rounds:
                self._rounds[house] = asyncio.create_task(self._round(house))
            await asyncio.shield(self._rounds[house])
        return caller.bit in bits

    async def bits(self, caller: Caller) -> str:
        """What the caller may do with what they came for."""
        return await self._bits(caller, caller.house_id)

    async def _by_link(self, scope: Scope) -> Caller:
        """Whoever has a link reads what its maker may read, and as long as they may."""
        link = links.read(scope, [settings.STREAMS_KEY, *settings.STREAMS_OLD_KEYS])
        if scope["method"] not in ("GET", "HEAD"):
            raise Refusal(403, "only_reads", "A link reads its stream, and does nothing else.")
        credential = f"token {link.token}" if link.token else f"agent {link.by}"
        caller = Caller(False, link.by, link.house, credential, link.stream, R, link.expires)
        if R not in await self._bits(caller, link.house):
            raise Refusal(403, "ended_link", "This link shows nothing any more: whoever made it may not read that now.")
        return caller

    async def _bits(self, caller: Caller, house: str) -> str:
        who, since = _asked(caller), time.monotonic() - AGAIN
        while (bits := self._answer(house, who, since)) is None:
            await self._ask(house, [who])
        return bits

    def _answer(self, house: str, who: Asked, since: float) -> str | None:
        at, bits = self._known.get((house, who), (-1.0, ""))
        return bits if at >= since else None

    async def _round(self, house: str) -> None:
        """Ask about everybody who stays, at once; whoever comes meanwhile waits for the next."""
        try:
            gone = time.monotonic() - STAYS
            self._staying[house] = staying = {who: at for who, at in self._staying[house].items() if at >= gone}
            await self._ask(house, list(staying))
        finally:
            del self._rounds[house]

    async def _ask(self, house: str, those: list[Asked]) -> None:
        now = time.monotonic()
        answers = await _held(house, those, self._bits_on)
        if len(self._known) > 10_000:
            self._known = {key: known for key, known in self._known.items() if now - known[0] < STAYS}
            self._staying = {name: who for name, who in self._staying.items() if now - max(who.values()) < STAYS}
        self._known.update({(house, who): (now, bits) for who, bits in zip(those, answers, strict=True)})


def _asked(caller: Caller) -> Asked:
    return Asked(caller.stream, str(caller.agent_id), caller.credential)


@partial(database_sync_to_async, thread_sensitive=False)
def _held(house: str, those: list[Asked], bits: Bits) -> list[str]:
    """What they may, if their credentials still hold: a revoked token and a session that was signed out are out."""
    agents = bearers(house, {who.credential for who in those})
    right = [who for who in those if who.credential in agents and str(agents[who.credential].pk) == who.agent]
    held = bits(house, [(who.stream, agents[who.credential]) for who in right]) if right else []
    found = dict(zip(right, held, strict=True))
    return [found.get(who, "") for who in those]


@partial(database_sync_to_async, thread_sensitive=False)
def _whose(bearer: str | None, key: str, scope: Scope) -> tuple[UUID | None, str]:
    if bearer is not None:  # then the cookie does not count, not even beside an empty one: its origin was not looked at
        try:
            token = Token.objects.read(bearer)
        except Refused:
            told = dict(scope["headers"]).get(settings.CLIENT_HEADER.lower().encode(), b"").decode("latin-1")
            wrong_token(client_address(told, (scope.get("client") or ("",))[0]))
            raise
        if token.house_id != scope.get("house"):
            raise NoStream("There is no such stream.")
        return token.agent_id, f"token {token.pk}"
    if scope["method"] not in ("GET", "HEAD"):  # a browser's cookie alone must not write: that is what forms are for
        return None, ""
    agent = _session_agent(key) if key else None
    return (agent.pk if agent else None), f"session {key}"


def _session_key(cookies: bytes) -> str:
    """That of the last cookie of this name, as Django takes it."""
    if len(cookies) > LONGEST_COOKIES:
        raise Refusal(431, "too_large", f"Your cookies have more than {LONGEST_COOKIES >> 10} kB; delete some of them.")
    found = b""
    for cookie in cookies.split(b";"):
        name, _, value = cookie.partition(b"=")
        if name.strip() == settings.SESSION_COOKIE_NAME.encode():
            found = value.strip()
    key = KEY.fullmatch(found)
    return key[1].decode() if key else ""


def _session_agent(key: str) -> Agent | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    agent = get_user(request)
    return agent if isinstance(agent, Agent) else None

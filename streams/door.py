"""Who may touch a stream: arbe itself, and whoever may do as much with what it tells. One check, at one place."""

import hmac
import re
import time
from collections.abc import Callable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from houses.agents import Agent
from houses.attempts import client_address, wrong_token
from houses.credentials import Token
from houses.membership import is_member
from houses.refusals import Refused, TooMany
from houses.rights import capped
from houses.scopes import R, W
from houses.tenancy import inside
from streams.refusals import NoStream, Refusal
from streams.wire import Caller, Scope

AGAIN = 1.0  # seconds for which an answer holds: revoked means closed, within that time
KEY = re.compile(r"[a-z0-9]{8,64}")  # of a session: anything else is not one, and no question for the database
# The bits that an agent has on a stream of a house: (house, stream, agent) -> some of `rwx`.
Bits = Callable[[str, str, Agent], str]


def of_members(house: str, stream: str, agent: Agent) -> str:
    """Whoever is in the house reads and writes its streams, where nobody knows what they tell."""
    return capped(agent, R + W) if is_member(house, agent.pk) else ""


class HouseDoor:
    """Admits the internal key, a bot's token or a person's session, and asks again while a tail lives.

    What somebody may do with a stream is for `bits` to say, which knows what is told there.
    """

    def __init__(self, bits: Bits = of_members) -> None:
        self._bits_on = bits
        self._known: dict[tuple[str, ...], tuple[float, str]] = {}

    async def admit(self, scope: Scope) -> Caller:
        headers = dict(scope["headers"])
        sent = headers.get(b"authorization")
        bearer = None if sent is None else sent.decode("latin-1").removeprefix("Bearer ").strip()
        if bearer and settings.STREAMS_KEY and hmac.compare_digest(bearer.encode(), settings.STREAMS_KEY.encode()):
            return Caller(internal=True)
        try:
            agent_id, credential = await _whose(bearer, headers.get(b"cookie", b"").decode("latin-1"), scope)
        except Refused as refused:
            later = {"Retry-After": str(refused.retry_after)} if isinstance(refused, TooMany) else None
            raise Refusal(refused.status, refused.code, refused.detail, later) from refused
        if agent_id is None:
            raise Refusal(401, "unauthenticated", "Sign in, or send a token: Authorization: Bearer arbe_…")
        house, stream = str(scope.get("house", "")), str(scope.get("stream", ""))
        bit = W if scope["method"] == "POST" else R
        caller = Caller(False, str(agent_id), house, credential, stream, bit)
        bits = await self._bits(caller, house) if house else ""
        if R not in bits:
            raise NoStream("There is no such stream.")
        if bit not in bits:
            raise Refusal(403, "forbidden", "You may read this stream and not write to it: that takes w.")
        return caller

    async def still(self, caller: Caller, house: str) -> bool:
        """Whether the caller may (still) do what they came for, by what they came in with; asked once a second."""
        return caller.internal or caller.bit in await self._bits(caller, house)

    async def _bits(self, caller: Caller, house: str) -> str:
        key, now = (house, caller.stream, str(caller.agent_id), caller.credential), time.monotonic()
        at, bits = self._known.get(key, (-AGAIN, ""))
        if now - at >= AGAIN:
            bits = await _held(caller, house, self._bits_on)
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = (now, bits)
        return bits


@partial(database_sync_to_async, thread_sensitive=False)
def _held(caller: Caller, house: str, bits: Bits) -> str:
    """What they may, if the credential still holds: a revoked token and a session that was signed out are out."""
    kind, _, key = caller.credential.partition(" ")
    agent = _token_agent(house, key) if kind == "token" else _session_agent(key)
    if agent is None or str(agent.pk) != caller.agent_id:
        return ""
    return bits(house, caller.stream, agent)


@partial(database_sync_to_async, thread_sensitive=False)
def _whose(bearer: str | None, cookie: str, scope: Scope) -> tuple[UUID | None, str]:
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
    key = _session_key(cookie)
    agent = _session_agent(key) if key else None
    return (agent.pk if agent else None), f"session {key}"


def _session_key(cookie: str) -> str:
    try:
        morsel = SimpleCookie(cookie).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return morsel.value if morsel and KEY.fullmatch(morsel.value) else ""


def _session_agent(key: str) -> Agent | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    agent = get_user(request)
    return agent if isinstance(agent, Agent) else None


def _token_agent(house: str, key: str) -> Agent | None:
    with inside(house):
        token = Token.objects.live().select_related("agent").filter(pk=key).first()
    return token.bearer() if token else None

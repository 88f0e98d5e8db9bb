"""Who may touch a stream: arbe itself, and the members of the house it belongs to. One check, at one place."""

import hmac
import time
from functools import partial
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from houses.credentials import Token
from houses.membership import is_member
from houses.refusals import Refused
from streams.refusals import NoStream, Refusal
from streams.wire import Caller, Scope

AGAIN = 1.0  # seconds for which an answer about membership holds: revoked means closed, within that time


class HouseDoor:
    """Admits the internal key, a bot's token or a person's session, and asks again while a tail lives."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[float, bool]] = {}

    async def admit(self, scope: Scope) -> Caller:
        headers = dict(scope["headers"])
        sent = headers.get(b"authorization")
        bearer = None if sent is None else sent.decode("latin-1").removeprefix("Bearer ").strip()
        if bearer and settings.STREAMS_KEY and hmac.compare_digest(bearer.encode(), settings.STREAMS_KEY.encode()):
            return Caller(internal=True)
        try:
            agent_id, credential = await _whose(bearer, headers.get(b"cookie", b"").decode("latin-1"), scope)
        except Refused as refused:
            raise Refusal(refused.status, refused.code, refused.detail) from refused
        house = str(scope.get("house", ""))
        if agent_id is None:
            raise Refusal(401, "unauthenticated", "Sign in, or send a token: Authorization: Bearer arbe_…")
        caller = Caller(internal=False, agent_id=str(agent_id), house_id=house, credential=credential)
        if not house or not await self.still(caller, house):
            raise NoStream("There is no such stream.")
        return caller

    async def still(self, caller: Caller, house: str) -> bool:
        """Whether the caller is (still) in the house, by what they came in with; asked at most once a second."""
        if caller.internal:
            return True
        key, now = (house, str(caller.agent_id), caller.credential), time.monotonic()
        at, answer = self._known.get(key, (-AGAIN, False))
        if now - at >= AGAIN:
            answer = await _holds(caller, house)
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = (now, answer)
        return answer


@partial(database_sync_to_async, thread_sensitive=False)
def _holds(caller: Caller, house: str) -> bool:
    """Membership, and the credential: a revoked token and a session that was signed out are out at once."""
    kind, _, key = caller.credential.partition(" ")
    if kind == "token" and not Token.objects.holds(house, key):
        return False
    if kind == "session" and str(_session_agent(key)) != caller.agent_id:
        return False
    return is_member(house, str(caller.agent_id))


@partial(database_sync_to_async, thread_sensitive=False)
def _whose(bearer: str | None, cookie: str, scope: Scope) -> tuple[UUID | None, str]:
    if bearer is not None:  # then the cookie does not count, not even beside an empty one: its origin was not looked at
        token = Token.objects.read(bearer)
        if token.house_id != scope.get("house"):
            raise NoStream("There is no such stream.")
        return token.agent_id, f"token {token.pk}"
    if scope["method"] not in ("GET", "HEAD"):  # a browser's cookie alone must not write: that is what forms are for
        return None, ""
    key = _session_key(cookie)
    return (_session_agent(key), f"session {key}") if key else (None, "")


def _session_key(cookie: str) -> str:
    try:
        morsel = SimpleCookie(cookie).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _session_agent(key: str) -> UUID | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    agent = get_user(request)
    return agent.pk if agent.is_authenticated else None

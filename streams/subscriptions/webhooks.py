"""Webhooks: which addresses a server may be sent to, and how one is called.

A name is looked up when it is called, every address that it has is looked at, and the connection goes to one of those:
a name that tells something else the next time gets nowhere.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import Semaphore, timeout
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import httpx
import orjson

from houses.internet import Address, is_public

LONGEST = 2048  # characters of an address
PATIENCE = 20.0  # seconds that a webhook has for its answer
MOST_ANSWER = 1 << 16  # bytes of it that are read
WELL, FAILING = 128, 32  # calls at once; those that failed before wait for each other only
LOOKUPS = 4  # at once, of either
Resolve = Callable[[str, int], Awaitable[list[str]]]
_ALWAYS = {"Content-Type": "application/json", "User-Agent": "arbe", "Accept-Encoding": "identity"}


class Refused(Exception):
    """An address that must not be called; the text says why."""


class Answered(NamedTuple):
    """What became of a call: whether it was taken, and whether all of it is done already."""

    is_taken: bool
    is_done: bool = False
    why: str = ""


def check(url: str, is_open: bool) -> SplitResult:
    """The parts of an address that may be kept; it is looked up, and looked at again, when it is called."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise Refused("webhook.url is no URL.") from None
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused(f"webhook.url has at most {LONGEST} characters, all of them plain ones.")
    if not host or port == 0 or "@" in parts.netloc or "#" in url or "%" in parts.netloc:
        raise Refused("webhook.url names a host, and has no credentials and no fragment.")
    local = _is_local(host)
    if parts.scheme == "http" and not (is_open and local):
        raise Refused("webhook.url is https; http is for this machine alone, on a server that is open.")
    if parts.scheme not in ("http", "https"):
        raise Refused("webhook.url is https.")
    address = _literal(host)
    if parts.scheme == "https" and (local or (address and not is_public(address))):
        raise Refused("webhook.url must not lead into a private network.")
    return parts


class Webhooks:
    """Calls them, many at once; one that does not answer takes no place from those that do."""

    def __init__(
        self,
        is_open: bool,
        resolve: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
        may_call: Callable[[Address], bool] = is_public,
    ) -> None:
        self._is_open, self._resolve, self._trust, self._may_call = is_open, resolve, trust, may_call
        self._lanes = [_Lane(WELL), _Lane(FAILING)]
        self._client: httpx.AsyncClient | None = None

    async def call(self, url: str, body: bytes, headers: dict[str, str], *, has_failed: bool) -> Answered:
        lane = self._lanes[has_failed]
        async with lane.room:
            try:
                async with timeout(PATIENCE):
                    return await self._call(url, body, headers, lane)
            except Refused as refused:
                return Answered(False, why=str(refused))
            except TimeoutError:
                return Answered(False, why=f"It did not answer within {PATIENCE:.0f} seconds.")
            except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
                return Answered(False, why=f"It could not be called: {error!r}.")

    async def close(self) -> None:
        if self._client:
            await self._client.aclose()

    async def _call(self, url: str, body: bytes, headers: dict[str, str], lane: _Lane) -> Answered:
        parts = check(url, self._is_open)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        found = await (self._resolve or lane.resolve)(host, port)
        address = self._allowed(found, is_local=parts.scheme == "http")
        place = f"[{address}]" if address.version == 6 else str(address)
        request = self._open().build_request(
            "POST",
            parts._replace(netloc=f"{place}:{port}").geturl(),
            content=body,
            headers=headers | {"Host": parts.netloc} | _ALWAYS,
            # The certificate has to be for the host that was asked for, not for the address that it has.
            extensions={"sni_hostname": host},
        )
        answer = await self._open().send(request, stream=True)
        try:
            if not answer.is_success:
                return Answered(False, why=f"It answered {answer.status_code}.")
            return Answered(True, await _says_done(answer))
        finally:
            await answer.aclose()

    def _allowed(self, found: list[str], *, is_local: bool) -> Address:
        """The first of them, if all of them may be called."""
        addresses = [ip_address(text.partition("%")[0]) for text in found]
        if not addresses:
            raise Refused("The host of webhook.url has no address.")
        if not all(address.is_loopback if is_local else self._may_call(address) for address in addresses):
            raise Refused("The host of webhook.url is in a private network.")
        return addresses[0]

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            # Connections are told apart by address alone, and a certificate speaks for a name: so none is used twice.
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            trust = self._trust or ssl.create_default_context()
            self._client = httpx.AsyncClient(verify=trust, limits=limits, trust_env=False, timeout=PATIENCE)
        return self._client


class _Lane:
    """So many calls at once, and threads of their own for names, which can take long; no exit waits for those."""

    def __init__(self, most: int) -> None:
        self.room, self._lookups = Semaphore(most), Semaphore(LOOKUPS)

    async def resolve(self, host: str, port: int) -> list[str]:
        await self._lookups.acquire()
        found: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        looking = Thread(target=self._look, args=(host, port, found), name="webhook-names", daemon=True)
        try:
            looking.start()
        except RuntimeError:
            self._lookups.release()
            raise OSError("no thread could be started to look a name up") from None
        return await found

    def _look(self, host: str, port: int, found: asyncio.Future[list[str]]) -> None:
        places: list[Any] = []
        error: Exception | None = None
        try:
            places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError, OverflowError) as raised:
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            found.get_loop().call_soon_threadsafe(self._looked, found, [str(place[4][0]) for place in places], error)

    def _looked(self, found: asyncio.Future[list[str]], addresses: list[str], error: Exception | None) -> None:
        self._lookups.release()  # not before: one that hangs keeps its place, whoever has given up on it
        if found.done():
            return
        if error:
            found.set_exception(error)
        else:
            found.set_result(addresses)


async def _says_done(answer: httpx.Response) -> bool:
    said = b""
    async for part in answer.aiter_raw():
        said += part
        if len(said) > MOST_ANSWER:
            return False
    try:
        told = orjson.loads(said)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and told.get("done") is True


def _is_local(host: str) -> bool:
    address = _literal(host)
    host = host.rstrip(".")
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None

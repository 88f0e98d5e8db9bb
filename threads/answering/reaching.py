"""How a bot reaches what is outside: where the house said, over connections that are made anew and follow nobody.

Whoever looks after a house is no operator of this installation: unless the installation says otherwise, no name leads
to an address inside, and never to where machines are told their keys. It is looked up when it is called, all its
addresses are looked at, and the connection goes to one of those: a name that tells something else the next time gets
nowhere.
"""

import asyncio
import socket
import ssl
from functools import cache
from ipaddress import ip_address

import httpx2

from houses.internet import is_closed, is_public
from houses.refusals import Refused


class Inside(Refused):
    """An address that is not on the public internet."""

    code = "inside_address"


def refusal_in(error: BaseException | None) -> Refused | None:
    """Our own refusal, where a library has wrapped its own errors around it."""
    while error is not None and not isinstance(error, Refused):
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    return error


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def client(*, inside_too: bool, patience: float) -> httpx2.AsyncClient:
    """Connections for one conversation; silent for `patience` seconds, the other side is given up."""
    limits = httpx2.Limits(max_connections=8, max_keepalive_connections=2)
    within = httpx2.AsyncHTTPTransport(verify=_trust(), limits=limits, trust_env=False)
    return httpx2.AsyncClient(
        transport=_Looking(within, inside_too),
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(30.0, read=patience, connect=10.0),
    )


class _Looking(httpx2.AsyncBaseTransport):
    """Connects to addresses that were looked at alone."""

    def __init__(self, within: httpx2.AsyncBaseTransport, inside_too: bool) -> None:
        self._within, self._inside_too = within, inside_too

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        asked = request.url
        places = await _places(asked.host, asked.port or 443, self._inside_too)
        # The certificate has to be for the host that was asked for, not for the address that it has.
        request.extensions = {**request.extensions, "sni_hostname": asked.host}
        try:
            return await self._first_of(places, request)
        finally:
            request.url = asked

    async def _first_of(self, places: list[str], request: httpx2.Request) -> httpx2.Response:
        *others, last = places
        for place in others:
            request.url = request.url.copy_with(host=place)
            try:
                return await self._within.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # nothing was said yet
        request.url = request.url.copy_with(host=last)
        return await self._within.handle_async_request(request)

    async def aclose(self) -> None:
        await self._within.aclose()


async def _places(host: str, port: int, inside_too: bool) -> list[str]:
    """The addresses of the host, if all of them may be called. Raises `Inside`, or that it is not found."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(f"{host} is not found") from error
    addresses = [ip_address(str(place[4][0]).partition("%")[0]) for place in found]
    if not addresses or any(map(is_closed, addresses)):
        raise Inside(f"{host} is not on the public internet, nor anywhere that a bot may go.")
    if not inside_too and not all(map(is_public, addresses)):
        raise Inside(
            f"{host} is not on the public internet; only an operator of this installation can open what is inside."
        )
    return [str(address) for address in addresses]

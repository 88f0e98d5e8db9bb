"""How a bot reaches what is outside: where the house said, over connections that are made anew and follow nobody.

Whoever looks after a house is no operator of this installation: unless the installation says otherwise, no name leads
to an address inside. It is looked up when it is called, all its addresses are looked at, and the connection goes to
one of those: a name that tells something else the next time gets nowhere.
"""

import asyncio
import socket
import ssl
from functools import cache
from ipaddress import ip_address

import httpx2

from houses.refusals import Refused
from streams.subscriptions.webhooks import is_public


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
    transport: httpx2.AsyncBaseTransport = httpx2.AsyncHTTPTransport(verify=_trust(), limits=limits, trust_env=False)
    if not inside_too:
        transport = _Outside(transport)
    return httpx2.AsyncClient(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(30.0, read=patience, connect=10.0),
    )


class _Outside(httpx2.AsyncBaseTransport):
    """Lets through what goes to the public internet, to an address that was looked at."""

    def __init__(self, within: httpx2.AsyncBaseTransport) -> None:
        self._within = within

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        address = await _public(host, request.url.port or 443)
        request.url = request.url.copy_with(host=address)
        # The certificate has to be for the host that was asked for, not for the address that it has.
        request.extensions = {**request.extensions, "sni_hostname": host}
        return await self._within.handle_async_request(request)

    async def aclose(self) -> None:
        await self._within.aclose()


async def _public(host: str, port: int) -> str:
    """One address of the host, if all of them are everybody's. Raises `Inside`, or that it is not found."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx2.ConnectError(f"{host} is not found") from error
    addresses = [ip_address(str(place[4][0]).partition("%")[0]) for place in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise Inside(
            f"{host} is not on the public internet; only an operator of this installation can open what is inside."
        )
    return str(addresses[0])

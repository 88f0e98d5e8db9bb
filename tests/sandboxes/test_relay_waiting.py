"""While neither side of a door is read, nothing is done: a side that has gone does not keep the relay awake."""

import select
import socket
import struct
from threading import Thread

import pytest

from sandboxes import relay

MUCH = relay.BLOCK * 2


def connected():
    """Both ends of a connection, as there are between a program, the relay and a provider."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        return one, server.accept()[0]


def broken_off(end, other):
    """It is gone at once, without a word; returns when the other end knows."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
    known = select.poll()
    known.register(other, 0)
    assert known.poll(10_000)


@pytest.fixture
def ends():
    """The caller, the provider, and what the relay holds of them."""
    caller, client = connected()
    provider, upstream = connected()
    for one in (client, upstream):
        one.setblocking(False)
    yield caller, provider, client, upstream
    for one in (caller, provider, client, upstream):
        one.close()


def test_a_provider_that_is_gone_is_not_looked_at_before_the_caller_has_read(ends):
    _, provider, client, upstream = ends
    exchange = relay.Exchange(client, upstream, b"", 0)
    exchange.heard = None
    exchange.telling += bytes(MUCH)
    while relay.sent(client, bytearray(relay.BLOCK)):
        pass  # until the caller, who does not read, can be told nothing more
    broken_off(provider, upstream)
    assert exchange.awaited().poll(0) == []


def test_a_caller_that_is_gone_ends_what_a_provider_does_not_read(ends):
    caller, provider, client, upstream = ends
    exchange = relay.Exchange(client, upstream, bytes(MUCH), None)
    while relay.sent(upstream, bytearray(relay.BLOCK)):
        pass  # until the provider, who does not read, can be asked nothing more
    broken_off(caller, client)
    ended = []

    def run():
        try:
            exchange.run(b"")
        except ConnectionAbortedError as error:
            ended.append(error)

    running = Thread(target=run, daemon=True)
    running.start()
    running.join(20)
    assert ended, "it goes round in circles, for nobody"
    provider.close()

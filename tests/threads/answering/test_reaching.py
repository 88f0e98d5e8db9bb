"""Where a bot's connections go: the address that was looked at, and never where machines are told their keys."""

import asyncio
import socket

import httpx2
import pytest

from tests.sandboxes.upstream import Upstream
from threads.answering.reaching import Inside, client


def ask(url, *, inside_too=True):
    async def asked():
        async with client(inside_too=inside_too, patience=5) as connections:
            return await connections.get(url)

    return asyncio.run(asked())


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture
def leads(monkeypatch):
    """`leads("gpu.lan", "10.0.0.1", …)`: what a name turns out to mean."""

    def to(name, *addresses):
        async def found(_, host, port, **__):
            places = addresses if host == name else (host,)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", found)

    return to


@pytest.mark.parametrize("inside_too", [True, False])
@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "0.0.0.0",
    ],
)
def test_nobody_is_led_to_where_machines_are_told_their_keys(host, inside_too):
    with pytest.raises(Inside, match="not on the public internet"):
        ask(f"http://{host}:1/latest", inside_too=inside_too)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "[fec0::1]", "[2002:7f00:1::]"])
def test_what_is_inside_is_for_those_who_may(host):
    with pytest.raises(Inside, match="only an operator"):
        ask(f"http://{host}:1/", inside_too=False)


def test_a_name_that_leads_there_besides_leads_nowhere(upstream, leads):
    leads("gpu.lan", "127.0.0.1", "169.254.169.254")
    with pytest.raises(Inside):
        ask(f"http://gpu.lan:{upstream.port}/")
    assert upstream.asked == []


def test_the_next_address_of_a_name_is_tried_where_nobody_answers_at_the_first(upstream, leads):
    leads("gpu.lan", "127.0.0.2", "127.0.0.1")
    answer = ask(f"http://gpu.lan:{upstream.port}/v1")
    assert (answer.text, answer.url.host) == ("hi", "gpu.lan")
    assert upstream.asked[0].headers["host"] == [f"gpu.lan:{upstream.port}"]


def test_a_name_of_which_no_address_answers_is_not_reached(upstream, leads):
    leads("gpu.lan", "127.0.0.2", "127.0.0.3")
    with pytest.raises(httpx2.ConnectError):
        ask(f"http://gpu.lan:{upstream.port}/v1")

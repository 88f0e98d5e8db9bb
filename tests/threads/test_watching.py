"""Streams and live pages: as much as with the thread behind them, and only as long."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connections
from django.urls import path

from houses.giving import give, withdraw
from houses.models import House, Member, Token
from houses.tenancy import inside
from streams.door import HouseDoor
from streams.outbox import open_stream
from streams.refusals import Refusal
from threads.door import bits_on
from threads.log.live import GONE, NOT_YOURS, LiveThread
from threads.models import Thread


@pytest.fixture
def door(committed, monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    return HouseDoor(bits_on)


@pytest.fixture
def grant(oak, ada):
    def granted(agent, scope, bits):
        with inside(oak, ada):
            give(agent, scope, bits, by=ada) if bits else withdraw(agent, scope, by=ada)

    return granted


@pytest.fixture
def knock(door, oak, ada):
    """Somebody of Oak comes with a token for a stream."""

    def knocked(agent, stream, method="GET", bits="rwx"):
        with inside(oak, ada):
            token, text = Token.objects.mint(agent, "for a test", by=agent)
            Token.objects.filter(pk=token.pk).update(bits=bits)
        headers = [(b"authorization", f"Bearer {text}".encode())]
        scope = {"headers": headers, "method": method, "house": oak.pk, "stream": stream}
        return async_to_sync(door.admit)(scope)

    return knocked


def asked(knock, agent, stream, **how):
    """What reading and appending come to."""
    return [knocked(knock, agent, stream, method, **how) for method in ("GET", "POST")]


def knocked(knock, *what, **how):
    try:
        knock(*what, **how)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("bits", "answers"),
    [("", [200, 200]), ("rwx", [200, 200]), ("r", [200, 403]), ("none", [404, 404]), ("w", [404, 404])],
)
def test_a_stream_is_for_whoever_may_do_as_much_with_its_thread(knock, grant, bo, thread, bits, answers):
    if bits:
        grant(bo, thread, bits)
    assert asked(knock, bo, thread.stream_id) == answers


def test_a_guest_of_one_thread_has_its_stream_and_no_other(knock, grant, oak, ada, bo, thread):
    with inside(oak, ada):
        other = Thread.objects.open_in(oak, by=ada, name="other")
    grant(bo, oak, "none")
    grant(bo, thread, "rw")
    assert asked(knock, bo, thread.stream_id) == [200, 200]
    assert asked(knock, bo, other.stream_id) == [404, 404]
    assert asked(knock, bo, "raw.bytes") == [404, 404]


def test_a_token_reads_and_writes_no_more_than_its_bits(knock, ada, thread):
    assert asked(knock, ada, thread.stream_id, bits="r") == [200, 403]
    assert asked(knock, ada, thread.stream_id, bits="") == [404, 404]


def test_bytes_of_a_house_are_for_whoever_may_do_as_much_with_the_house(knock, grant, oak, bo):
    assert asked(knock, bo, "raw.bytes") == [200, 200]
    grant(bo, oak, "r")
    assert asked(knock, bo, "raw.bytes") == [200, 403]
    grant(bo, oak, "none")
    assert asked(knock, bo, "raw.bytes") == [404, 404]


def test_signals_are_read_by_whoever_manages_the_house_and_written_by_arbe(knock, grant, oak, ada, bo):
    with inside(oak, ada):
        House.objects.update(signals_stream_id=open_stream(oak.pk))
        signals = House.objects.get().signals_stream_id
    assert asked(knock, bo, signals) == [404, 404]  # they tell of threads that he may not read
    grant(bo, oak, "rx")
    assert asked(knock, bo, signals) == asked(knock, ada, signals) == [200, 403]


def test_what_a_thread_told_that_is_gone_is_for_nobody(knock, oak, ada):
    with inside(oak, ada):
        stream = open_stream(oak.pk)
    assert asked(knock, ada, stream) == [404, 404]


@pytest.mark.parametrize("bits", ["none", "r"])
def test_a_right_that_is_lost_closes_what_it_opened(door, knock, grant, oak, bo, ada, thread, bits):
    reading, writing = (knock(bo, thread.stream_id, method) for method in ("GET", "POST"))
    adas = knock(ada, thread.stream_id)
    grant(bo, thread, bits)
    door._known.clear()  # as after a second
    still = [async_to_sync(door.still)(caller, oak.pk) for caller in (reading, writing, adas)]
    assert still == [bits == "r", False, True]


# The live page


@pytest.fixture
async def live(told, thread, client_of, monkeypatch):
    """`live(agent)`: a socket of theirs on the thread, in their browser."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))  # one thread asks the database, and is asked to let go of it
    monkeypatch.setattr("threads.log.watching.LOOK", 0.2)
    sockets = URLRouter([path("ws/threads/<str:house>/<str:thread>", LiveThread.as_asgi())])

    def opened(agent, where=thread, bearer=""):
        cookie = "" if bearer else client_of(agent).cookies[django_settings.SESSION_COOKIE_NAME].value
        headers = [(b"authorization", f"Bearer {bearer}".encode())] if bearer else []
        headers += [(b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={cookie}".encode())] if cookie else []
        address = f"/ws/threads/{where.house_id}/{where.pk}?after=-1"
        return WebsocketCommunicator(sockets, address, headers=headers)

    yield opened
    await get_channel_layer().flush()
    await loop.run_in_executor(None, connections.close_all)


async def away(what, *args, **how):
    """In the thread that asks the database."""
    return await sync_to_async(what, thread_sensitive=False)(*args, **how)


async def closing(socket):
    """The code that it is closed with, whatever comes before."""
    while (message := await socket.receive_output(timeout=10))["type"] != "websocket.close":
        pass
    await socket.disconnect()  # as a server does when it has closed
    return message["code"]


async def hears(socket, text):
    while True:
        message = await socket.receive_output(timeout=10)
        assert message["type"] == "websocket.send", message
        if text in message["text"]:
            return json.loads(message["text"])["events"]


async def test_when_bo_may_not_read_any_more_his_socket_closes_and_adas_stays(live, grant, oak, ada, bo, thread):
    adas, bos = await away(live, ada), await away(live, bo)
    for socket in (adas, bos):
        assert (await socket.connect())[0]
        await hears(socket, "opened")
    await away(grant, bo, thread, "none")
    assert await asyncio.wait_for(closing(bos), 10) == GONE
    await away(say, thread, ada, "still there?")
    assert await hears(adas, "still there?")
    await adas.disconnect()


@pytest.mark.parametrize("loss", ["thread", "house", "membership", "token"])
async def test_a_socket_closes_whatever_way_the_right_is_lost(live, grant, oak, ada, bo, thread, loss):
    token, text = await away(mint, oak, bo)
    socket = await away(live, bo, bearer=text)
    assert (await socket.connect())[0]
    await hears(socket, "opened")
    await away(lose, loss, grant, oak, ada, bo, thread, token)
    assert await asyncio.wait_for(closing(socket), 10) == GONE


@pytest.mark.parametrize("odd", ["house", "thread", "query", "cookie"])
async def test_what_no_address_says_is_closed_like_what_is_not_there(live, ada, thread, odd):
    socket = await away(live, ada)
    route = {"house": thread.house_id, "thread": thread.pk}
    socket.scope["query_string"] = b"after=\xff\xfe" if odd == "query" else b"after=-1"
    if odd == "cookie":
        name = django_settings.SESSION_COOKIE_NAME
        socket.scope["headers"] = [(b"cookie", f'{name}="abcdefgh\\000"'.encode())]
    elif odd in route:
        socket.scope["path"] = "/ws/threads/{house}/{thread}".format(**route | {odd: "a\0b"})
    assert (await socket.connect())[0]
    assert await closing(socket) == NOT_YOURS


async def test_what_one_may_not_read_is_closed_like_what_is_not_there(live, grant, bo, oak, thread):
    await away(grant, bo, thread, "none")
    for where in (thread, Thread(pk="abcdefghjkmn", house=oak)):
        socket = await away(live, bo, where)
        assert (await socket.connect())[0]
        assert await closing(socket) == NOT_YOURS


async def test_a_child_is_named_to_whoever_may_read_it(live, grant, oak, ada, bo, thread):
    child = await away(open_child, oak, ada, thread, "Hidden plan")
    await away(grant, bo, child, "none")
    for agent, named in ((ada, True), (bo, False)):
        socket = await away(live, agent)
        await socket.connect()
        events = await hears(socket, "goes on in a thread of its own")
        assert ("Hidden plan" in str(events)) is named and ("A child thread" in str(events)) is not named
        await socket.disconnect()


def say(thread, by, text):
    with inside(thread.house_id, by):
        thread.say(text, by=by)


def open_child(house, by, parent, name):
    with inside(house, by):
        return Thread.objects.open_in(house, by=by, name=name, parent=parent)


def mint(house, agent):
    with inside(house, agent):
        return Token.objects.mint(agent, "for a test", by=agent)


def lose(loss, grant, oak, ada, bo, thread, token):
    with inside(oak, ada):
        if loss == "membership":
            Member.objects.of(bo).leave(by=ada)
        elif loss == "token":
            Token.objects.filter(pk=token.pk).update(bits="")
        else:
            grant(bo, thread if loss == "thread" else oak, "none")

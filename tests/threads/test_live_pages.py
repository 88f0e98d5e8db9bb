"""Many pages that watch one thread: one reader for all, each at their own pace, and nobody longer than they may."""

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from random import Random

import pytest
import uvicorn
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.conf import settings as django_settings
from django.db import connections
from django.urls import path
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from houses.giving import give, withdraw
from houses.models import Agent, Member, Token
from houses.tenancy import inside
from streams.bell import ring
from streams.serving.server import StreamServer
from streams.storage.store import Store
from streams.wire import OpenDoor
from tests.services import wait_for
from threads.log import live, watching
from threads.log.frames import Recent
from threads.log.live import GONE, NOT_YOURS, LiveThread
from threads.models import Thread

SOON = 10  # seconds, on a machine with a lot to do


class Place:
    """A server of streams and of live pages on a loopback port, which counts what it is asked for."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.asked: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.port = free_port()
        self._sockets = URLRouter([path("ws/threads/<str:house>/<str:thread>", LiveThread.as_asgi())])
        config = uvicorn.Config(self, port=self.port, lifespan="off", log_level="warning")
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()])

    def start(self):
        self._thread.start()
        wait_for(self.server, self._thread)

    def stop(self):
        self.server.should_exit = True
        self._thread.join()

    def does(self, what):
        """In its own loop."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(1))  # it asks the database, and is asked to let go of it
        self.streams = StreamServer(Store(self.folder), OpenDoor(), ring)
        await self.server.serve()
        await self.streams.close()
        await get_channel_layer().flush()
        await self._loop.run_in_executor(None, connections.close_all)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
            return
        self.asked[scope["method"]] += 1

        async def counted(message):
            if scope["method"] == "GET" and message["type"] == "http.response.body":
                self.sizes.append(len(message["body"]))
            await send(message)

        await self.streams(scope, receive, counted)

    def watch(self, thread, key, after="-1", **how):
        address = f"ws://127.0.0.1:{self.port}/ws/threads/{thread.house_id}/{thread.pk}?after={after}"
        return connect(address, additional_headers=[key], max_size=None, **how)


@pytest.fixture
def served(committed, streams_at, tmp_path):
    place = Place(tmp_path / "streams")
    place.start()
    streams_at(place.url)
    yield place
    place.stop()
    assert live.hall.is_empty, "a reader outlives those who watched"


@pytest.fixture
async def place(served):
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    yield served
    await loop.run_in_executor(None, connections.close_all)


@pytest.fixture
def key_of(oak, client_of):
    """`await key_of(agent)`: a header that speaks for them: by a session, or by a token."""

    def keyed(agent, by="session"):
        if by == "session":
            return "Cookie", f"arbe_session={client_of(agent).cookies[django_settings.SESSION_COOKIE_NAME].value}"
        with inside(oak, agent):
            return "Authorization", f"Bearer {Token.objects.mint(agent, 'for a test', by=agent)[1]}"

    return lambda *args: aside(keyed, *args)


async def aside(what, *args, **how):
    """In the thread that asks the database."""
    return await sync_to_async(what, thread_sensitive=False)(*args, **how)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def inside_it(house, actor, what, *args, **how):
    with inside(house, actor):
        return what(*args, **how)


async def say(thread, by, text):
    await aside(inside_it, thread.house_id, by, thread.say, text, by=by)


def tell(thread, by, texts):
    """Many messages in one transaction."""
    with inside(thread.house_id, by):
        for text in texts:
            thread.say(text, by=by)


async def hears(page, text, within=SOON):
    """Everything up to the event that has this in it."""
    events = []
    async with asyncio.timeout(within):
        while not any(text in event["html"] for event in events):
            events += json.loads(await page.recv())["events"]
    return events


async def closed(page, within=SOON):
    """The code that it is closed with, whatever comes before."""
    async with asyncio.timeout(within):
        try:
            while True:
                await page.recv()
        except ConnectionClosed as end:
            return end.rcvd.code


@asynccontextmanager
async def all_of(*connecting):
    pages = await asyncio.gather(*connecting)
    try:
        yield pages
    finally:
        await asyncio.gather(*(page.close() for page in pages))


async def test_what_is_said_is_read_once_however_many_watch(place, key_of, ada, bo, scribe, thread, monkeypatch):
    monkeypatch.setattr(watching, "LOOK", 60)  # the bell alone
    await say(thread, ada, "before")
    keys = [await key_of(ada), await key_of(bo), await key_of(scribe, "token")] * 10
    async with all_of(*(place.watch(thread, key, after="now") for key in keys)) as pages:
        place.asked.clear()
        for number in range(5):
            await say(thread, ada, f"number {number}")
            frames = await asyncio.gather(*(asyncio.wait_for(page.recv(), SOON) for page in pages))
            assert len(set(frames)) == 1 and f"number {number}" in frames[0]
    assert place.asked["GET"] == 5


async def test_those_who_come_at_once_share_what_is_read_for_them(place, key_of, ada, thread, monkeypatch):
    monkeypatch.setattr(watching, "LOOK", 60)
    await aside(tell, thread, ada, [f"number {number}" for number in range(50)])
    key = await key_of(ada)
    place.asked.clear()
    async with all_of(*(place.watch(thread, key) for _ in range(20))) as pages:
        for events in await asyncio.gather(*(hears(page, "number 49") for page in pages)):
            assert len(events) == 51
    assert place.asked["GET"] == 1


async def test_without_a_bell_the_reader_looks_by_itself(place, key_of, ada, thread, monkeypatch):
    monkeypatch.setattr(watching, "LOOK", 0.3)
    async with place.watch(thread, await key_of(ada)) as page:
        await hears(page, "opened")
        await place.does(get_channel_layer().flush())  # nobody is in any group any more
        await say(thread, ada, "quietly")
        await hears(page, "quietly")


async def test_everybody_gets_everything_once_and_in_order_from_where_they_were(place, key_of, ada, bo, thread):
    await aside(tell, thread, ada, [f"old {number}" for number in range(60)])
    keys = [await key_of(ada), await key_of(bo, "token")]
    async with place.watch(thread, keys[0]) as page:
        seqs = [event["seq"] for event in await hears(page, "old 59")]
    dice = Random(4)
    starts = ["-1", *(dice.choice(seqs) for _ in range(23))]
    async with all_of(*(place.watch(thread, dice.choice(keys), after=start) for start in starts)) as pages:
        telling = asyncio.create_task(aside(tell, thread, ada, [f"new {number}" for number in range(60)]))
        heard = await asyncio.gather(*(hears(page, "new 59") for page in pages))
        await telling
    everything = [event["seq"] for event in heard[0]]
    assert len(everything) == 121
    for start, events in zip(starts, heard, strict=True):
        assert [event["seq"] for event in events] == [seq for seq in everything if seq > start]


async def test_one_who_takes_nothing_holds_nobody_up_and_reads_on_from_where_they_were(
    place, key_of, ada, bo, thread, monkeypatch
):
    monkeypatch.setattr(live.hall, "recent", Recent(1_000_000))  # it falls behind what is kept, soon
    text, count = "word " * 20_000, 120  # 12 MB: more than what sockets of a kernel hold
    slow_socket = socket.socket()
    slow_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow_socket.connect(("127.0.0.1", place.port))
    slow_socket.setblocking(False)
    mine, theirs = await key_of(ada), await key_of(bo)
    async with (
        place.watch(thread, mine, compression=None) as quick,
        place.watch(thread, theirs, compression=None, sock=slow_socket, max_queue=1, ping_interval=None) as slow,
    ):
        await hears(quick, "opened")
        for number in range(count):
            await say(thread, ada, f"{text} end-of-{number}")
            await hears(quick, f"end-of-{number}")  # whatever the other one does
        assert live.hall.recent.size <= 1_000_000
        place.sizes.clear()
        events = await hears(slow, f"end-of-{count - 1}", within=60)
    numbers = [
        event["html"].rpartition("end-of-")[2].partition("<")[0] for event in events if "end-of-" in event["html"]
    ]
    assert numbers == [str(number) for number in range(count)]
    assert sum(place.sizes) > 1_000_000, "it was all still waiting for it somewhere"
    assert max(place.sizes) < 3_000_000


# Names


async def test_in_one_event_each_is_shown_the_names_that_they_may_know(place, key_of, oak, ada, bo, scribe, thread):
    keys = [await key_of(ada), await key_of(bo), await key_of(scribe, "token")]
    async with all_of(*(place.watch(thread, key) for key in keys)) as pages:
        await asyncio.gather(*(hears(page, "opened") for page in pages))
        await aside(hidden_child, oak, ada, bo, thread, "Hidden plan")
        told = await asyncio.gather(*(hears(page, "goes on in a thread of its own") for page in pages))
    assert ["Hidden plan" in str(events) for events in told] == [True, False, True]
    assert ["A child thread" in str(events) for events in told] == [False, True, False]
    assert len({event["seq"] for events in told for event in events}) == 1


async def test_a_run_is_not_shown_the_names_of_threads_that_its_agent_may_read(place, key_of, oak, ada, thread):
    hers, runs = await key_of(ada), await key_of(ada, "token")

    def prepare():
        with inside(oak, ada):
            Token.objects.filter(agent=ada).update(run_thread=thread.pk, run="r")
            elsewhere = Thread.objects.open_in(oak, by=ada, name="Hidden plan", parent=thread)
            Thread.objects.filter(pk=elsewhere.pk).update(parent_thread=None)  # told of here, and outside of the run

    await aside(prepare)
    async with place.watch(thread, hers) as page, place.watch(thread, runs) as run:
        told = [await hears(one, "goes on in a thread of its own") for one in (page, run)]
    assert ["Hidden plan" in str(events) for events in told] == [True, False]


async def test_whoever_shows_nothing_is_answered_before_anybody_looks_for_the_thread(place, thread, monkeypatch):
    looked = []

    async def stream_of(house_id, thread_id):
        looked.append(thread_id)
        raise AssertionError("a stranger has the database asked")

    monkeypatch.setattr(live, "_stream_of", stream_of)
    for key in (("X", "nothing"), ("Authorization", "Bearer nonsense"), ("Cookie", "arbe_session=" + "a" * 32)):
        async with place.watch(thread, key) as page:
            assert await closed(page) == NOT_YOURS
    assert looked == []


async def test_a_name_is_not_shown_any_more_once_it_may_not_be_known(place, key_of, oak, ada, bo, thread):
    child = await aside(hidden_child, oak, ada, bo, thread, "Hidden plan")
    key = await key_of(bo)

    async def told():
        async with place.watch(thread, key) as page:
            return "Hidden plan" in str(await hears(page, "goes on in a thread of its own"))

    assert not await told()
    await aside(inside_it, oak, ada, withdraw, bo, child, by=ada)
    await asyncio.sleep(1.1)
    assert await told()
    await aside(inside_it, oak, ada, give, bo, child, "none", by=ada)
    await asyncio.sleep(1.1)
    assert not await told()


def hidden_child(house, by, to, parent, name):
    """A child of the thread that one member may not read; in one transaction, as it is told when that ends."""
    with inside(house, by):
        child = Thread.objects.open_in(house, by=by, name=name, parent=parent)
        give(to, child, "none", by=by)
    return child


# As long as they may


@pytest.mark.parametrize("loss", ["grant", "house", "membership", "token", "agent", "session", "password"])
async def test_whoever_may_not_any_more_is_closed_within_a_second(place, key_of, client_of, oak, ada, bo, thread, loss):
    key = await key_of(bo, "token" if loss == "token" else "session")
    async with place.watch(thread, key) as his, place.watch(thread, await key_of(ada)) as hers:
        await asyncio.gather(hears(his, "opened"), hears(hers, "opened"))
        await aside(lose, loss, oak, ada, bo, thread, key[1])
        began = time.monotonic()
        assert await closed(his) == GONE
        took = time.monotonic() - began
        assert took < 2, f"it took {took:.1f} s"  # one, on a machine that does nothing else
        await say(thread, ada, "still there")
        await hears(hers, "still there")


async def test_what_is_said_after_a_second_is_not_sent_to_whoever_may_not_read_it(place, key_of, oak, ada, bo, thread):
    async with place.watch(thread, await key_of(bo)) as his:
        await hears(his, "opened")
        await aside(inside_it, oak, ada, give, bo, thread, "none", by=ada)
        await asyncio.sleep(2)
        await say(thread, ada, "between us")
        with pytest.raises(ConnectionClosed):
            await hears(his, "between us")


def lose(loss, oak, ada, bo, thread, credential):
    if loss == "agent":
        bo.deactivate()
    elif loss == "session":
        from django.contrib.sessions.models import Session

        Session.objects.filter(session_key=credential.rpartition("=")[2]).delete()
    elif loss == "password":
        bo.choose_password("a new one that is long enough")
    else:
        with inside(oak, ada):
            if loss == "membership":
                Member.objects.of(bo).leave(by=ada)
            elif loss == "token":
                Token.objects.get(agent=bo).revoke(by=bo)
            else:
                give(Agent.objects.get(pk=bo.pk), thread if loss == "grant" else oak, "none", by=ada)

"""The client when answers are lost and servers die: every event is there once, and every tail goes on."""

import asyncio
import random
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from streams.client import AsyncStreams, Producer, StreamError, Streams
from tests.streams.processes import NODE, NODE_ON_DISK, OURS, free_port, running

everywhere = pytest.mark.parametrize("kind", [OURS, NODE, NODE_ON_DISK])
durable = pytest.mark.parametrize("kind", [OURS, NODE_ON_DISK])


def message(text):
    return {"type": "message", "payload": {"text": text}, "author_agent_id": "ada"}


def texts(events):
    return [event["payload"]["text"] for event in events]


class Lossy:
    """A wire to a server on which every second answer to a POST is lost after the server has given it."""

    def __init__(self, port):
        self._port, self._dice, self.lost = port, random.Random(4), 0

    async def __aenter__(self):
        self._wire = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        port = self._wire.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *error):
        self._wire.close()

    async def _carry(self, reader, writer):
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        asked = []

        async def ask():
            while said := await reader.read(1 << 16):
                asked.append(said)
                back.write(said)

        asking = asyncio.create_task(ask())
        try:
            while answered := await there.read(1 << 16):
                if b"POST " in b"".join(asked) and self._dice.random() < 0.5:
                    self.lost += 1
                    break
                asked.clear()
                writer.write(answered)
        finally:
            asking.cancel()
            writer.close()
            back.close()


@everywhere
async def test_answers_that_get_lost_double_nothing(kind, tmp_path):
    with running(kind, tmp_path) as server:
        async with Lossy(server.port) as wire, AsyncStreams(wire.url, patience=20) as streams:
            await streams.create("oak", "talk")
            for n in range(30):
                await streams.append("oak", "talk", [message(f"{n}a"), message(f"{n}b")], Producer("p", 0, n))
            events = (await streams.read("oak", "talk")).events
    assert wire.lost > 5
    assert texts(events) == [f"{n}{letter}" for n in range(30) for letter in "ab"]


@durable
async def test_killing_the_server_under_load_loses_and_doubles_nothing(kind, tmp_path):
    with running(kind, tmp_path) as server:
        killed = asyncio.Event()
        async with AsyncStreams(server.url, patience=30) as streams:
            for number in range(4):
                await streams.create("oak", f"s{number}")
            writers = [asyncio.create_task(write(streams, n, killed)) for n in range(16)]
            for _ in range(3):
                await asyncio.sleep(0.8)
                server.kill()
                await asyncio.to_thread(server.start)
            killed.set()
            written = await asyncio.gather(*writers)
            for number in range(4):
                await check(streams, number, written)
        async with AsyncStreams(server.url_of_others) as stranger:
            for number in range(4):
                await check(stranger, number, written)


async def write(streams, writer, killed):
    """Numbers in order, each until it is acknowledged, and four more after the last kill; how many."""
    count, more = 0, 4
    while more:
        more -= killed.is_set()
        await streams.append("oak", f"s{writer % 4}", [message(f"{writer}:{count}")], Producer(f"w{writer}", 0, count))
        count += 1
    return count


async def check(streams, number, written):
    found, seqs, page = {}, [], None
    while page is None or not page.up_to_date:
        page = await streams.read("oak", f"s{number}", page.next if page else "-1", 100)
        for event in page.events:
            seqs.append(event["seq"])
            writer, count = map(int, event["payload"]["text"].split(":"))
            found.setdefault(writer, []).append(count)
    assert seqs == sorted(set(seqs))
    assert found == {writer: list(range(written[writer])) for writer in range(number, 16, 4)}


@pytest.mark.parametrize("kind", [NODE, NODE_ON_DISK])
def test_an_event_that_a_server_took_twice_is_told_once(kind, tmp_path):
    """Upstream's store on disk does so when it dies between an event and the note of its producer's sequence."""
    with running(kind, tmp_path) as server, Streams(server.url) as client, Streams(server.url_of_others) as stranger:
        client.create("oak", "talk")
        client.append("oak", "talk", [message("a"), message("b")], Producer("p", 0, 0))
        address = f"{server.url}/v1/stream/oak/talk"
        again = httpx.get(address).content
        client.append("oak", "talk", [message("c")], Producer("q", 0, 0))
        httpx.post(address, content=again, headers={"Content-Type": "application/json"}).raise_for_status()
        client.append("oak", "talk", [message("d")], Producer("p", 0, 1))
        for reader in (client, stranger):
            events = reader.read("oak", "talk").events
            assert texts(events) == list("abcd")
            page = reader.before("oak", "talk", limit=2)
            assert page.events == events[2:] and reader.before("oak", "talk", page.prev).events == events[:2]
            assert reader.read("oak", "talk", events[1]["seq"]).events == events[2:]
            assert reader.read("oak", "talk", events[2]["seq"], 1).events == events[3:]


@durable
async def test_a_tail_goes_on_over_restarts(kind, tmp_path):
    heard, enough = [], asyncio.Event()

    async def listen(streams):
        async for page in streams.tail("oak", "talk", "-1"):
            heard.extend(page.events)
            if len(heard) >= 24:
                enough.set()

    with running(kind, tmp_path) as server:
        # A patience shorter than a poll: to have waited for news is not to have waited for the server.
        async with AsyncStreams(server.url, patience=30) as streams, AsyncStreams(server.url, patience=10) as ear:
            await streams.create("oak", "talk")
            listening = asyncio.create_task(listen(ear))
            for n in range(24):
                await streams.append("oak", "talk", [message(str(n))], Producer("p", 0, n))
                await asyncio.sleep(0.05)
                if n % 8 == 5:
                    server.kill()
                    await asyncio.sleep(0.3)
                    await asyncio.to_thread(server.start)
            await asyncio.wait_for(enough.wait(), 15)
            listening.cancel()
            assert heard == (await streams.read("oak", "talk")).events
    assert texts(heard) == [str(n) for n in range(24)]


@pytest.fixture
def upstream(tmp_path):
    """The upstream server, which can be told to fail: its own faults are what it tests its clients with."""
    with running(NODE, tmp_path) as server, Streams(server.url, patience=5) as client:
        client.create("oak", "talk")
        client.append("oak", "talk", [message("a")], Producer("p", 0, 0))
        server.fails = lambda **how: httpx.post(
            f"{server.url}/_test/inject-error", json={"path": "/v1/stream/oak/talk"} | how
        ).raise_for_status()
        server.client = client
        yield server


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_to_be_left_alone_is(upstream, status):
    upstream.fails(status=status, count=1, retryAfter=1)
    began = time.monotonic()
    done = upstream.client.append("oak", "talk", [message("b")], Producer("p", 0, 1))
    assert not done.duplicate and time.monotonic() - began >= 1
    upstream.fails(status=status, count=1, retryAfter=60)
    began = time.monotonic()
    with pytest.raises(StreamError) as refused:  # longer than we would wait
        upstream.client.read("oak", "talk")
    assert (refused.value.status, refused.value.retry_after, refused.value.permanent) == (status, 60, False)
    assert time.monotonic() - began < 10


def test_what_has_no_producer_is_said_again_only_if_it_was_not_heard(upstream):
    upstream.fails(status=429, count=2, method="POST")
    upstream.client.append("oak", "talk", [message("b")])
    for fault in ({"status": 503}, {"dropConnection": True}):
        upstream.fails(**fault, count=1, method="POST")
        with pytest.raises(StreamError) as refused:
            upstream.client.append("oak", "talk", [message("c")])
        assert not refused.value.permanent
    assert texts(upstream.client.read("oak", "talk").events) == ["a", "b"]


@pytest.mark.parametrize("fault", [{"truncateBodyBytes": 40}, {"corruptBody": True}, {"dropConnection": True}])
def test_an_answer_that_cannot_be_read_is_asked_for_again(upstream, fault):
    upstream.fails(**fault, count=2, method="GET")
    assert texts(upstream.client.read("oak", "talk").events) == ["a"]


def test_a_server_that_is_not_there_is_a_passing_failure():
    with Streams(f"http://127.0.0.1:{free_port()}", patience=0.2) as nobody, pytest.raises(StreamError) as refused:
        nobody.append("oak", "talk", [message("x")], Producer("p", 0, 0))
    assert (refused.value.code, refused.value.permanent) == ("unreachable", False)


def test_a_server_that_takes_the_request_and_hangs_holds_nobody_longer_than_their_patience():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with Streams(address, patience=0.2) as streams, pytest.raises(StreamError) as refused:
            streams.append("oak", "talk", [message("x")], Producer("p", 0, 0))
        assert not refused.value.permanent and time.monotonic() - began < 10


@everywhere
def test_a_proxy_that_refuses_does_not_pass_for_a_server_of_another_kind(kind, tmp_path):
    """What a client takes a server for it goes on taking it for, so it must not be taken in by a passing refusal."""
    with running(kind, tmp_path) as server, refusing(server.port) as proxy, Streams(proxy.url, patience=0.1) as client:
        for status in (403, 404, 503):
            proxy.refuses = status
            with pytest.raises(StreamError) as refused:
                client.create("oak", "talk")
            assert refused.value.status == status
        proxy.refuses = None
        client.create("oak", "talk")
        client.append("oak", "talk", [message("a")])
        appended = client.append("oak", "talk", [message("b")])
        assert texts(client.read("oak", "talk").events) == ["a", "b"]
        assert (appended.next is not None) == (kind == OURS)


@contextmanager
def refusing(port):
    """A proxy before a server, which may have something against all requests."""

    class Refusing(BaseHTTPRequestHandler):
        def answer(self):
            if proxy.refuses:
                return self.send_error(proxy.refuses)
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = httpx.request(
                self.command, f"http://127.0.0.1:{port}{self.path}", content=content, headers=dict(self.headers)
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.startswith(("stream-", "access-", "content-type")):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
            return None

        do_GET = do_PUT = do_POST = do_OPTIONS = answer  # noqa: N815  # so they are called

        def log_message(self, *told):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy:
        proxy.refuses, proxy.url = None, f"http://127.0.0.1:{proxy.server_port}"
        threading.Thread(target=proxy.serve_forever).start()
        yield proxy
        proxy.shutdown()

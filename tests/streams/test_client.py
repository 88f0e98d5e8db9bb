"""The client, against a real server: retries, tails, pages, and a server that is killed under it."""

import asyncio
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from streams.client import AsyncStreams, Producer, StreamError, Streams
from tests.streams.conftest import free_port


@pytest.fixture
def client(living):
    with Streams(living.url, "arbe", patience=5) as client:
        client.create("oak", "talk")
        yield client


def message(text):
    return {"type": "message", "payload": {"text": text}, "author_agent_id": "ada"}


def texts(page):
    return [event["payload"]["text"] for event in page.events]


def test_creating_twice_is_the_same(client):
    assert client.create("oak", "talk") == client.create("oak", "talk")


def test_an_append_says_where_to_go_on_and_whether_it_was_a_repetition(client):
    first = client.append("oak", "talk", [message("a")], Producer("p", 0, 0))
    again = client.append("oak", "talk", [message("a")], Producer("p", 0, 0))
    assert (first.duplicate, again.duplicate) == (False, True)
    assert client.append("oak", "talk", [message("b")]).duplicate is False
    assert texts(client.read("oak", "talk", first.next)) == ["b"]
    assert client.head("oak", "talk").up_to_date


def test_reading_forward_and_backward(client):
    client.append("oak", "talk", [message(text) for text in "abcde"])
    page = client.read("oak", "talk", limit=2)
    assert (texts(page), page.up_to_date) == (["a", "b"], False)
    page = client.before("oak", "talk", limit=2)
    assert (texts(page), page.up_to_date) == (["d", "e"], True)
    page = client.before("oak", "talk", page.prev, limit=5)
    assert (texts(page), page.prev) == (["a", "b", "c"], None)


def test_refusals_say_whether_asking_again_can_help(client):
    with pytest.raises(StreamError) as refused:
        client.read("oak", "nothing")
    assert (refused.value.code, refused.value.permanent) == ("not_found", True)
    with pytest.raises(StreamError) as refused:
        client.append("oak", "talk", [message("x")], Producer("p", 0, 5))
    assert (refused.value.code, refused.value.permanent) == ("producer_gap", True)
    with Streams(f"http://127.0.0.1:{free_port()}", patience=0.2) as nobody, pytest.raises(StreamError) as refused:
        nobody.append("oak", "talk", [message("x")], Producer("p", 0, 0))
    assert (refused.value.code, refused.value.permanent) == ("unreachable", False)


def test_a_closed_stream_says_so(client):
    client.append("oak", "talk", [message("last")])
    client.shut("oak", "talk")
    page = client.read("oak", "talk")
    assert (texts(page), page.closed) == (["last"], True)
    with pytest.raises(StreamError, match="closed"):
        client.append("oak", "talk", [message("later")])
    client.delete("oak", "talk")
    client.delete("oak", "talk")


async def test_a_tail_hears_each_event_once_and_ends_with_the_stream(living, client):
    async with AsyncStreams(living.url, "arbe") as streams:
        heard = []

        async def listen():
            async for page in streams.tail("oak", "talk", "-1"):
                heard.extend(texts(page))

        listening = asyncio.create_task(listen())
        for text in "abc":
            await streams.append("oak", "talk", [message(text)])
            await asyncio.sleep(0.05)
        await asyncio.to_thread(client.shut, "oak", "talk")
        await asyncio.wait_for(listening, 5)
    assert heard == ["a", "b", "c"]


def test_a_server_without_the_extension_is_read_from_the_beginning(client):
    client.append("oak", "talk", [message(text) for text in "abcde"])

    def plain(request):
        request.url = request.url.copy_remove_param("before").copy_remove_param("limit")

    def forget(response):
        response.headers.pop("arbe-backwards", None)

    client._http.event_hooks = {"request": [plain], "response": [forget]}
    page = client.before("oak", "talk", limit=2)
    assert texts(page) == ["d", "e"]
    page = client.before("oak", "talk", page.prev, limit=2)
    assert texts(page) == ["b", "c"]
    page = client.before("oak", "talk", page.prev, limit=2)
    assert (texts(page), page.prev) == (["a"], None)


def start(folder, port):
    server = subprocess.Popen([sys.executable, "-m", "streams.alone", str(folder), "--open", "--port", str(port)])
    for _ in range(200):
        try:
            httpx.get(f"http://127.0.0.1:{port}/v1/stream/oak/x")
            return server
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError("the server did not start")


async def test_killing_the_server_under_load_loses_and_doubles_nothing(tmp_path):
    port = free_port()
    server = start(tmp_path, port)
    until = time.monotonic() + 6
    try:
        async with AsyncStreams(f"http://127.0.0.1:{port}", patience=20) as streams:
            for number in range(4):
                await streams.create("oak", f"s{number}")
            writers = [asyncio.create_task(write(streams, n, until)) for n in range(16)]
            for _ in range(3):
                await asyncio.sleep(0.7)
                server.send_signal(signal.SIGKILL)
                server.wait()
                server = await asyncio.to_thread(start, tmp_path, port)
            written = await asyncio.gather(*writers)
            assert min(written) > 10
            for number in range(4):
                await check(streams, number, written)
    finally:
        server.kill()
        server.wait()


async def write(streams, writer, until):
    """Numbers in order, each until it is acknowledged; how many."""
    count = 0
    while time.monotonic() < until - 2:
        producer = Producer(f"w{writer}", 0, count)
        await streams.append("oak", f"s{writer % 4}", [message(f"{writer}:{count}")], producer)
        count += 1
    return count


async def check(streams, number, written):
    found, offset = {}, "-1"
    while True:
        page = await streams.read("oak", f"s{number}", offset)
        for event in page.events:
            assert event["seq"] > offset
            offset = event["seq"]
            writer, count = map(int, event["payload"]["text"].split(":"))
            found.setdefault(writer, []).append(count)
        offset = page.next
        if page.up_to_date:
            break
    for writer in range(number, 16, 4):
        assert found[writer] == list(range(written[writer]))


def test_a_server_that_takes_the_request_and_hangs_holds_nobody_longer_than_their_patience():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with Streams(address, patience=0.2) as streams, pytest.raises(StreamError) as refused:
            streams.append("oak", "talk", [message("x")], Producer("p", 0, 0))
        assert not refused.value.permanent and time.monotonic() - began < 2

"""Those who follow streams: what keeps a stream for them, what ends them, and how a server that has to go lets go."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from arbe.ports import free_port
from arbe.up import Place, Up
from streams.refusals import StorageFailed
from streams.serving.alone import Alone
from streams.serving.server import StreamServer
from streams.storage.store import Store
from tests.services import wait_for
from tests.streams.conftest import HouseDoor
from tests.streams.processes import OURS, Server

JSON = {"Content-Type": "application/json"}


class Sick(Store):
    """A store that is to be waited for, and whose disk may begin to fail."""

    fails = is_ready = False

    async def ready(self, patience=30.0):
        await super().ready(patience)
        self.is_ready = True

    async def read(self, *given, **more):
        if self.fails:
            raise StorageFailed("The disk does not answer.")
        return await super().read(*given, **more)


@pytest.fixture
def alone(tmp_path):
    """A stream server with the front of its own, and a door."""
    door = HouseDoor()

    def make():
        return StreamServer(Sick(tmp_path / "streams"), door, long_poll=2.5, sse=2.5)

    alone = Alone(make, "127.0.0.1", free_port())
    alone.door = door
    thread = threading.Thread(target=alone.run)
    thread.start()
    wait_for(alone, thread)
    yield alone
    alone.hang_up()
    alone.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def http(alone):
    with holding(alone) as http:
        yield http


def holding(alone, who="arbe"):
    where = f"http://127.0.0.1:{alone.config.port}/v1/stream"
    return httpx.Client(base_url=where, headers={"Authorization": f"Bearer {who}"}, timeout=10)


def soon(true, seconds=5.0):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return true()


def test_nobody_is_answered_before_the_store_is_ready(alone):
    assert alone.streams.store.is_ready


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_a_stream_that_is_followed_does_not_end_by_itself(alone, http, live):
    http.put("/oak/brief", headers=JSON | {"Stream-TTL": "1"})
    with holding(alone) as other:
        following = threading.Thread(target=other.get, args=("/oak/brief",), kwargs={"params": at_tail(live)})
        following.start()
        time.sleep(1.8)
        assert http.head("/oak/brief").status_code == 200
        following.join()
    assert http.head("/oak/brief").status_code == 200
    time.sleep(1.3)
    assert http.head("/oak/brief").status_code == 404


def at_tail(live):
    return {"offset": "now", "live": live}


def test_a_poll_on_a_stream_that_only_its_forks_still_see_says_gone(alone, http):
    http.put("/oak/log", headers=JSON, content=b"[1]")
    assert http.put("/oak/fork", headers={"Stream-Forked-From": "/v1/stream/oak/log"}).status_code == 201
    with holding(alone) as other:
        deleting = threading.Timer(0.2, other.delete, args=("/oak/log",))
        deleting.start()
        polled = http.get("/oak/log", params=at_tail("long-poll"))
        deleting.join()
    assert (polled.status_code, polled.json()["code"]) == (410, "gone")


def test_a_disk_that_fails_ends_a_tail_in_order(alone, http):
    http.put("/oak/log", headers=JSON)
    with holding(alone) as other, other.stream("GET", "/oak/log", params=at_tail("sse")) as following:
        heard = following.iter_lines()
        assert next(heard) == "event: control"
        alone.streams.store.fails = True
        http.post("/oak/log", headers=JSON, content=b"1")
        assert "HTTP/1.1 503" not in "".join(heard)  # which ends, and not in the middle of a chunk
    assert http.get("/oak/log").status_code == 503


def test_nothing_is_kept_of_a_tail_that_nobody_follows(alone, http):
    http.put("/oak/log", headers=JSON, content=b"[1]")
    with http.stream("GET", "/oak/log", params={"offset": "-1", "live": "sse"}) as following:
        heard = following.iter_lines()
        next(heard)
        assert len(alone.streams._reading._frames) == 1
    assert soon(lambda: not alone.streams._reading._frames and not alone.streams._reading._followers)


@pytest.fixture
def stuck(alone, http):
    """A connection of Ada's on which more waits than she takes."""
    http.put("/oak/talk", headers=JSON)
    for _ in range(16):
        http.post("/oak/talk", headers=JSON, content=b'"%b"' % (b"x" * 1_000_000))
    http.close()
    assert soon(lambda: not alone.server_state.connections)
    with socket.create_connection(("127.0.0.1", alone.config.port), timeout=10) as line:
        address = "/v1/stream/oak/talk?offset=-1&live=sse"
        line.sendall(f"GET {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n\r\n".encode())
        assert soon(lambda: any(each.flow.write_paused for each in alone.server_state.connections))
        time.sleep(0.1)
        yield line


def test_who_may_not_follow_any_more_is_cut_off_even_if_they_read_nothing(alone, stuck):
    time.sleep(1)
    assert alone.server_state.connections
    alone.door.out.add("ada")
    assert soon(lambda: not alone.server_state.connections, 2.3)


def test_who_reads_nothing_is_cut_off_when_their_time_is_over(alone, stuck):
    assert soon(lambda: not alone.server_state.connections, 5)


def test_who_reads_nothing_is_cut_off_when_the_server_goes(alone, stuck):
    alone.hang_up()
    assert soon(lambda: not alone.server_state.connections, 1.5)


@contextmanager
def our_own(tmp_path):
    server = Server(OURS, tmp_path / "streams")
    server.start()
    try:
        yield server.process, server.url
    finally:
        server.kill()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def the_web(tmp_path):
    """As `up` starts it; what it needs a database for is not asked of it here."""
    port = free_port()
    options = Up(Place(tmp_path, "127.0.0.1", port), {})._uvicorn_options()
    env = os.environ | {"ARBE_VAR": str(tmp_path), "ARBE_SECRET_KEY": "x" * 50, "ARBE_STREAMS_KEY": "arbe"}
    command = [sys.executable, "-m", "uvicorn", "arbe.asgi:application", *options]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            assert soon(lambda: answers(port), 30)
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.parametrize("serving", [our_own, the_web])
def test_a_server_that_has_to_go_lets_everybody_finish(tmp_path, serving):
    with serving(tmp_path) as (process, url), httpx.Client(headers={"Authorization": "Bearer arbe"}) as http:
        address = f"{url}/v1/stream/oak/log"
        http.put(address, headers=JSON).raise_for_status()
        told = []
        threads = [threading.Thread(target=follow, args=(address, live, told)) for live in ["sse", *["long-poll"] * 4]]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert time.monotonic() - began < 2
        for thread in threads:
            thread.join(10)
        assert set(told) <= {200, 204, "refused"}  # and nobody was cut off in the middle of an answer


def follow(address, live, told):
    """Again and again, on a connection that is kept, until nobody is there any more."""
    with httpx.Client(headers={"Authorization": "Bearer arbe"}, timeout=10) as http:
        while True:
            began = time.monotonic()
            try:
                told.append(http.get(address, params=at_tail(live)).status_code)
            except httpx.HTTPError as error:
                # Who came while the door was being closed was never let in; who had waited was.
                told.append("refused" if time.monotonic() - began < 0.3 else repr(error))
                return

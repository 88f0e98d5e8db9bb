"""Subscriptions when a server ends, however it does: what they had to tell is told after the start."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from streams.storage.store import Store
from streams.terms import Append, Settings
from tests.streams.conftest import free_port
from tests.streams.subscriptions.asking import acked, claim, code, hook, of, pull, say, shown, signed, until, verb


def test_a_server_that_is_killed_goes_on_with_what_it_had_to_tell(tmp_path, receiver):
    receiver.answer = (503, {})
    port = free_port()
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}/v1/stream", timeout=30) as http,
        alone(tmp_path, port, http) as first,
    ):
        hook(http, receiver, pattern="events/*")
        pull(http, pattern="events/*", lease_ttl_ms=60_000)
        tail = say(http, "events/a", 1)
        claimed = claim(http).json()
        until(lambda: len(receiver.calls) == 2)
        until(lambda: shown(http)["status"] == "failed")
        key = http.get("/__ds/jwks.json").json()
        time.sleep(1)  # the second failure is kept; the third call is not due yet
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        second_at = receiver.calls[1][0]
        with alone(tmp_path, port, http):
            until(lambda: len(receiver.calls) == 3)
            # The second pause went on where it was.
            assert receiver.calls[2][0] - second_at >= 1.6
            assert len({(told["wake_id"], told["generation"]) for told in receiver.told}) == 1
            assert http.get("/__ds/jwks.json").json() == key
            assert signed(http, receiver.calls[2])
            assert code(claim(http, "two")) == "ALREADY_CLAIMED"
            ack = {"acks": [{"stream": "events/a", "offset": tail}]}
            assert verb(http, "pull", "ack", claimed["token"], **of(claimed), **ack, done=True).status_code == 200
            receiver.answer = (200, {"done": True})
            until(lambda: acked(http) == {"events/a": tail})
            say(http, "events/b", 1)
            until(lambda: receiver.told[-1]["generation"] == 2)


@contextmanager
def alone(folder, port, http):
    command = [sys.executable, "-m", "streams.serving.alone", str(folder / "streams"), "--open", "--port", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as process:
        try:
            until(lambda: is_up(http), 30)
            yield process
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)


def is_up(http):
    try:
        return http.get("/__ds/jwks.json").status_code == 200
    except httpx.TransportError:
        return False


def test_what_came_while_nobody_listened_wakes_after_the_start(server, http, receiver):
    """As after a crash between an append and the note of it."""
    hook(http, receiver, pattern="events/*", streams=["mine", "left"])
    for name in ("events/a", "events/gone", "left"):
        tail = say(http, name, 1)
        until(lambda name=name, tail=tail: acked(http).get(name) == tail)
    server.stop()
    calls = len(receiver.calls)

    async def meanwhile():
        store = Store(server.folder)
        await store.append(await store.find("events/a"), Append([b"2"]))
        for name in ("events/new", "mine"):
            await store.create(name, Settings("application/json"), Append([b"1"]))
        await store.delete("events/gone")
        await store.delete("left")
        await store.close()

    asyncio.run(meanwhile())
    server.start()
    tails = {name: http.head(f"/{name}").headers["stream-next-offset"] for name in ("events/a", "events/new", "mine")}
    until(lambda: acked(http) == tails | {"left": "-1"})
    assert len(receiver.calls) > calls


def test_many_signs_of_life_do_not_fill_the_disk(http, server):
    pull(http, pattern="events/*", lease_ttl_ms=60_000)
    say(http, "events/a", *range(700))
    claimed = claim(http).json()
    ends = [page(http, n) for n in range(1, 700, 100)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: verb(http, "pull", "ack", claimed["token"], **of(claimed)), range(1200)))
    assert {answer.status_code for answer in answers} == {200}
    for end in ends:
        ack = {"acks": [{"stream": "events/a", "offset": end}]}
        assert verb(http, "pull", "ack", claimed["token"], **of(claimed), **ack).status_code == 200
    server.stop()

    async def kept():
        store = Store(server.folder)
        try:
            places = [name for name in await store.names() if name.startswith("__ds/subscriptions/pull/")]
            streams = [await store.find(name) for name in places]
            return [stream.tail.messages for stream in streams]
        finally:
            await store.close()

    (messages,) = asyncio.run(kept())
    assert messages <= 501
    server.start()
    assert acked(http, "pull") == {"events/a": ends[-1]}


def page(http, limit):
    return http.get("/events/a", params={"limit": limit}).headers["stream-next-offset"]

"""Subscriptions over HTTP: who is woken, when again, what the token is good for, and what is left after an end.

The webhooks are a real server on loopback, which checks the signature of whatever it is sent.
"""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from streams.refusals import Refusal
from streams.storage.store import Store
from streams.subscriptions import progress as standing
from streams.subscriptions import webhooks
from streams.subscriptions.configuration import Configuration, matches
from streams.subscriptions.mapping import StoredMapping
from streams.subscriptions.register import Register
from streams.subscriptions.webhooks import Webhooks
from streams.terms import Append, Settings
from tests.services import StreamServer
from tests.streams.conftest import free_port

JSON = {"Content-Type": "application/json"}


class Receiver:
    """A webhook. It answers what `answers` says, one after another, and then `answer`; None never answers."""

    def __init__(self):
        self.calls, self.answers, self.answer = [], [], (200, {"done": True})
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.calls.append((time.monotonic(), body, dict(self.headers)))
                said = outer.answers.pop(0) if outer.answers else outer.answer
                if said is None:
                    outer._over.wait(60)
                    return
                status, told = said
                told = json.dumps(told).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def told(self):
        return [json.loads(body) for _, body, _ in self.calls]

    def stop(self):
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def hung():
    """A webhook that takes what it is sent and never answers."""
    receiver = Receiver()
    receiver.answer = None
    yield receiver
    receiver.stop()


@pytest.fixture
def server(tmp_path):
    """A stream server that lets everybody in, and that can be started again."""
    server = StreamServer(tmp_path / "streams")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/v1/stream", timeout=10) as http:
        yield http


@pytest.fixture(scope="module")
def long_open(tmp_path_factory):
    """A server that many questions are put to."""
    server = StreamServer(tmp_path_factory.mktemp("streams"))
    server.start()
    with httpx.Client(base_url=f"{server.url}/v1/stream", timeout=10) as http:
        yield http
    server.stop()


def until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
    return found


def subscribe(http, name, **told):
    return http.put(f"/__ds/subscriptions/{name}", json=told)


def hook(http, receiver, name="hook", **told):
    told = {"type": "webhook", "webhook": {"url": receiver.url}, "lease_ttl_ms": 1000} | told
    return subscribe(http, name, **told)


def pull(http, name="pull", **told):
    http.put("/wakes/here", headers=JSON, content=b"[]")
    return subscribe(http, name, **{"type": "pull-wake", "wake_stream": "wakes/here", "lease_ttl_ms": 1000} | told)


def say(http, path, *messages):
    """Append, creating the stream if need be; its tail."""
    if http.head(f"/{path}").status_code == 404:
        return http.put(f"/{path}", headers=JSON, json=list(messages)).headers["stream-next-offset"]
    done = http.post(f"/{path}", json=list(messages))
    assert done.status_code == 204
    return done.headers["stream-next-offset"]


def shown(http, name="hook"):
    return http.get(f"/__ds/subscriptions/{name}").json()


def acked(http, name="hook"):
    return {link["path"]: link["acked_offset"] for link in shown(http, name)["streams"]}


def verb(http, name, what, token="", **told):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return http.post(f"/__ds/subscriptions/{name}/{what}", json=told, headers=headers)


def claim(http, worker="one", name="pull"):
    return verb(http, name, "claim", worker=worker)


def of(wake):
    return {"wake_id": wake["wake_id"], "generation": wake["generation"]}


def code(answer):
    return answer.json()["error"]["code"]


def signed(http, call):
    """Whether the signature of a call holds, by the key that the server shows."""
    _, body, headers = call
    told = dict(part.split("=", 1) for part in headers["Webhook-Signature"].split(","))
    jwks = http.get("/__ds/jwks.json")
    assert jwks.headers["cache-control"] == "public, max-age=300"
    (key,) = [key for key in jwks.json()["keys"] if key["kid"] == told["kid"]]
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")
    assert abs(int(told["t"]) - time.time()) < 60
    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"] + "="))
    public.verify(urlsafe_b64decode(told["ed25519"] + "=="), told["t"].encode() + b"." + body)
    with pytest.raises(InvalidSignature):
        public.verify(urlsafe_b64decode(told["ed25519"] + "=="), told["t"].encode() + b"." + body + b" ")
    return True


def test_a_webhook_is_woken_with_a_signature_and_by_saying_done_it_has_acknowledged(http, receiver):
    made = hook(http, receiver, pattern="events/*", description="mine")
    assert made.status_code == 201
    assert made.json()["webhook"]["signing"]["jwks_url"] == f"{str(http.base_url).rstrip('/')}/__ds/jwks.json"
    tail = say(http, "events/a", 1, 2)
    until(lambda: acked(http) == {"events/a": tail})
    (told,) = receiver.told
    assert signed(http, receiver.calls[0])
    assert told["subscription_id"] == "hook"
    assert told["generation"] == 1
    (stream,) = told["streams"]
    assert stream == {
        "path": "events/a",
        "link_type": "glob",
        "acked_offset": "-1",
        "tail_offset": tail,
        "has_pending": True,
    }
    say(http, "elsewhere/a", 1)
    time.sleep(0.2)
    assert len(receiver.calls) == 1
    tail = say(http, "events/a", 3)
    until(lambda: acked(http) == {"events/a": tail})
    assert [told["generation"] for told in receiver.told] == [1, 2]


def test_the_same_subscription_is_confirmed_and_another_one_refused(http, receiver):
    told = {"streams": ["b", "a", "/a/"], "description": "x"}
    assert hook(http, receiver, **told).status_code == 201
    assert hook(http, receiver, **told | {"streams": ["a", "b"]}).status_code == 200
    for other in ({"streams": ["a"]}, {"description": "y"}, {"lease_ttl_ms": 2000}, {"pattern": "*"}):
        assert code(hook(http, receiver, **told | other)) == "SUBSCRIPTION_ALREADY_EXISTS"
    assert [link["path"] for link in shown(http)["streams"]] == ["a", "b"]


def test_one_wake_at_a_time_and_what_comes_meanwhile_is_the_next(http, receiver):
    receiver.answer = (202, {})
    hook(http, receiver, pattern="events/**", lease_ttl_ms=60_000)
    first = say(http, "events/a", 1)
    (wake,) = until(lambda: receiver.told)
    second = say(http, "events/a", 2)
    say(http, "events/deep/b", 1)
    time.sleep(0.3)
    assert len(receiver.calls) == 1
    ack = {"acks": [{"stream": "events/a", "offset": first}]}
    done = verb(http, "hook", "callback", wake["callback_token"], **of(wake), **ack, done=True)
    assert done.json() == {"ok": True, "next_wake": True}
    (_, following) = until(lambda: len(receiver.calls) == 2 and receiver.told)
    assert following["generation"] == 2
    tails = {each["path"]: each["tail_offset"] for each in following["streams"] if each["has_pending"]}
    assert tails.keys() == {"events/a", "events/deep/b"}
    assert tails["events/a"] == second


def test_a_token_is_good_for_its_own_wake_alone(http, receiver):
    receiver.answer = (200, {"done": False})
    hook(http, receiver, pattern="*", lease_ttl_ms=60_000)
    hook(http, receiver, "other", streams=["nothing"])
    tail = say(http, "a", 1)
    (wake,) = until(lambda: receiver.told)
    token, ack = wake["callback_token"], {"acks": [{"stream": "a", "offset": tail}]}
    for wrong in ({"generation": 2}, {"wake_id": "w_other"}, {"wake_id": None}, {"generation": "1"}):
        assert code(verb(http, "hook", "callback", token, **of(wake) | wrong, **ack)) == "FENCED"
    for bad in ("x", "x.1.y", "..", token[:-1], token + "a", token.replace(".1.", ".2."), "\u00ff"):
        headers = {"Authorization": f"Bearer {bad}".encode("latin-1")}
        refused = http.post("/__ds/subscriptions/hook/callback", json=of(wake), headers=headers)
        assert (refused.status_code, code(refused)) == (401, "TOKEN_INVALID")
    assert verb(http, "other", "callback", token, **of(wake)).status_code == 401
    assert verb(http, "hook", "callback", token, **of(wake), **ack).json() == {"ok": True, "next_wake": False}
    assert verb(http, "hook", "callback", token, **of(wake), done=True).status_code == 200
    assert code(verb(http, "hook", "callback", token, **of(wake), **ack, done=True)) == "FENCED"
    # The next one of that name is another one, also where it counts the same.
    http.delete("/__ds/subscriptions/hook")
    assert verb(http, "hook", "callback", token, **of(wake)).status_code == 404
    hook(http, receiver, pattern="*", lease_ttl_ms=60_000)
    say(http, "a", 2)
    again = until(lambda: len(receiver.calls) == 2 and receiver.told[1])
    assert again["generation"] == wake["generation"]
    assert code(verb(http, "hook", "callback", token, **of(again))) == "FENCED"


def test_offsets_are_acknowledged_forward_up_to_the_end_and_all_or_none(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, streams=["a", "b"], lease_ttl_ms=60_000)
    middle = say(http, "a", 1)
    (wake,) = until(lambda: receiver.told)
    tail, other = say(http, "a", 2), say(http, "b", 1)

    def ack(*acks):
        acks = [{"stream": name, "offset": offset} for name, offset in acks]
        return verb(http, "hook", "callback", wake["callback_token"], **of(wake), acks=acks)

    beyond = "0000000000000009_0000000000000009"
    for acks in ([("a", beyond)], [("a", "-1")], [("a", "x")], [("c", tail)], [("b", other), ("a", beyond)]):
        assert code(ack(*acks)) == "INVALID_OFFSET"
    assert acked(http) == {"a": "-1", "b": "-1"}
    assert ack(("a", tail), ("b", other)).status_code == 200
    assert code(ack(("a", middle))) == "INVALID_OFFSET"
    assert ack(("a", tail)).status_code == 200
    assert acked(http) == {"a": tail, "b": other}


def test_a_webhook_that_fails_is_tried_again_after_growing_pauses(http, receiver):
    receiver.answers = [(500, {}), (302, {"done": True}), (404, {"done": True})]
    hook(http, receiver, pattern="*")
    tail = say(http, "a", 1)
    until(lambda: len(receiver.calls) == 2)
    until(lambda: shown(http)["status"] == "failed")
    until(lambda: acked(http) == {"a": tail}, 15)
    assert shown(http)["status"] == "active"
    assert {(told["wake_id"], told["generation"], told["callback_token"]) for told in receiver.told} == {
        (receiver.told[0]["wake_id"], 1, receiver.told[0]["callback_token"])
    }
    at = [moment for moment, _, _ in receiver.calls]
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert len(pauses) == 3
    for pause, about in zip(pauses, (1, 2, 4), strict=True):
        assert 0.8 * about <= pause <= 1.2 * about + 0.5
    assert {headers["Host"] for _, _, headers in receiver.calls} == {receiver.url.split("/")[2]}


def test_pauses_double_from_one_second_to_sixty_and_spread_by_a_fifth():
    for tries, about in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)):
        found = [standing.pause(tries) for _ in range(500)]
        assert 0.8 * about <= min(found) < 0.85 * about
        assert 1.15 * about < max(found) <= 1.2 * about


def test_a_lease_that_expires_with_work_left_brings_a_new_wake(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, pattern="*")
    tail = say(http, "a", 1)
    until(lambda: len(receiver.calls) == 2)
    first, second = receiver.told
    assert 0.9 <= receiver.calls[1][0] - receiver.calls[0][0] < 2
    assert (first["generation"], second["generation"]) == (1, 2)
    assert first["wake_id"] != second["wake_id"]
    assert code(verb(http, "hook", "callback", first["callback_token"], **of(first), done=True)) == "FENCED"
    # Each sign of life is a new lease; what it acknowledged is done when the lease is over.
    for _ in range(4):
        time.sleep(0.5)
        ack = {"acks": [{"path": "a", "offset": tail}]}
        assert verb(http, "hook", "callback", second["callback_token"], **of(second), **ack).status_code == 200
    time.sleep(1.5)
    assert len(receiver.calls) == 2
    assert code(verb(http, "hook", "callback", second["callback_token"], **of(second))) == "FENCED"


def test_streams_that_match_are_linked_at_their_end_and_new_ones_from_their_beginning(http, receiver):
    old, other = say(http, "house/old", 1, 2), say(http, "house/deep/down", 1)
    say(http, "elsewhere/old", 1)
    hook(http, receiver, pattern="house/**")
    assert acked(http) == {"house/old": old, "house/deep/down": other}
    time.sleep(0.2)
    assert receiver.calls == []
    http.put("/house/empty", headers=JSON)
    until(lambda: acked(http).get("house/empty") == "-1")
    assert receiver.calls == []
    new = say(http, "house/new", 1)
    until(lambda: acked(http).get("house/new") == new)
    assert [each["path"] for each in receiver.told[0]["streams"] if each["has_pending"]] == ["house/new"]
    http.put("/house/text", headers={"Content-Type": "text/plain"}, content=b"words")
    until(lambda: len(receiver.calls) == 2)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("a/*", ["a/b", "a/*"], ["a", "a/b/c", "b/a", "aa/b"]),
        ("a/**", ["a", "a/b", "a/b/c"], ["b", "ab/c"]),
        ("**", ["a", "a/b/c"], []),
        ("**/z", ["z", "a/z", "a/b/z"], ["a", "z/a", "a/zz"]),
        ("a/**/z/*", ["a/z/b", "a/b/c/z/d", "a/z/z/z"], ["a/z", "z/a"]),
        ("*/**/*", ["a/b", "a/b/c"], ["a"]),
        ("a/**/**/b", ["a/b", "a/x/b"], ["a"]),
        ("a.c/x*", ["a.c/x*"], ["abc/x*", "a.c/xy"]),
        ("a/%2A", ["a/*"], ["a/b"]),
    ],
)
def test_a_star_is_one_segment_and_two_are_any_number(pattern, fits, does_not):
    assert [name for name in [*fits, *does_not] if matches(pattern, name)] == fits


def test_no_pattern_takes_long():
    began = time.monotonic()
    assert not matches("/".join(["**", "a"] * 128), "/".join(["a"] * 120 + ["b"] * 100))
    assert time.monotonic() - began < 1


def test_streams_come_and_go_by_name(http, receiver):
    there = say(http, "there", 1)
    hook(http, receiver, pattern="events/*", streams=["mine"])
    glob = say(http, "events/a", 1)
    until(lambda: acked(http).get("events/a") == glob)
    added = http.post("/__ds/subscriptions/hook/streams", json={"streams": ["there", "not/yet", "events/a"]})
    assert added.status_code == 204
    assert acked(http) == {"mine": "-1", "events/a": glob, "there": there, "not/yet": "-1"}
    for name in ("not%2Fyet", "mine", "mine", "events/a", "never"):
        assert http.delete(f"/__ds/subscriptions/hook/streams/{name}").status_code == 204
    assert {link["path"]: link["link_type"] for link in shown(http)["streams"]} == {
        "events/a": "glob",
        "there": "explicit",
    }
    before = len(receiver.calls)
    say(http, "mine", 1)
    tail = say(http, "there", 2)
    until(lambda: acked(http)["there"] == tail)
    assert len(receiver.calls) == before + 1


def test_a_stream_that_is_deleted_and_comes_again_is_new(http, receiver):
    hook(http, receiver, pattern="events/*", streams=["mine"])
    for name in ("events/a", "mine"):
        tail = say(http, name, 1, 2, 3)
        until(lambda name=name, tail=tail: acked(http).get(name) == tail)
        http.delete(f"/{name}")
    until(lambda: acked(http) == {"mine": "-1"})
    before = len(receiver.calls)
    for name in ("events/a", "mine"):
        tail = say(http, name, 4)
        until(lambda name=name, tail=tail: acked(http).get(name) == tail)
    assert len(receiver.calls) == before + 2


def test_a_subscription_that_is_deleted_wakes_nobody_and_leaves_nothing(http, receiver, server):
    receiver.answer = (500, {})
    hook(http, receiver, pattern="*")
    say(http, "a", 1)
    until(lambda: receiver.calls)
    for _ in range(2):
        assert http.delete("/__ds/subscriptions/hook").status_code == 204
    assert code(http.get("/__ds/subscriptions/hook")) == "SUBSCRIPTION_NOT_FOUND"
    calls = len(receiver.calls)
    time.sleep(1.5)
    server.stop()
    store_names = names(server.folder)
    server.start()
    assert shown(http)["error"]["code"] == "SUBSCRIPTION_NOT_FOUND"
    assert len(receiver.calls) == calls
    assert {name for name in store_names if name.startswith("__ds/subscriptions")} == set()


def names(folder):
    async def read():
        store = Store(folder)
        try:
            return await store.names()
        finally:
            await store.close()

    return asyncio.run(read())


def test_wakes_go_to_a_stream_and_whoever_claims_first_works(http):
    assert pull(http, pattern="events/*").status_code == 201
    assert code(claim(http)) == "NO_PENDING_WORK"
    tail = say(http, "events/a", 1)
    (event,) = until(lambda: http.get("/wakes/here").json())
    assert abs(event.pop("ts") / 1000 - time.time()) < 10
    assert event == {"type": "wake", "subscription_id": "pull", "stream": "events/a", "generation": 1}
    first = claim(http, "one").json()
    assert first["lease_ttl_ms"] == 1000
    assert [(each["path"], each["tail_offset"]) for each in first["streams"]] == [("events/a", tail)]
    busy = claim(http, "two")
    assert (busy.status_code, code(busy)) == (409, "ALREADY_CLAIMED")
    assert busy.json()["error"]["current_holder"] == "one"
    assert busy.json()["error"]["generation"] == 1
    ack = {"acks": [{"stream": "events/a", "offset": tail}]}
    for _ in range(3):  # longer than one lease
        time.sleep(0.5)
        assert verb(http, "pull", "ack", first["token"], **of(first)).json() == {"ok": True, "next_wake": False}
    assert verb(http, "pull", "ack", first["token"], **of(first), **ack, done=True).json()["next_wake"] is False
    assert code(verb(http, "pull", "ack", first["token"], **of(first), **ack)) == "FENCED"
    assert code(claim(http, "two")) == "NO_PENDING_WORK"
    assert len(http.get("/wakes/here").json()) == 1


def test_of_many_claims_at_once_one_wins(http):
    pull(http, pattern="events/*", lease_ttl_ms=60_000)
    say(http, "events/a", 1)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: claim(http, f"worker {n}"), range(16)))
    (won,) = [answer for answer in answers if answer.status_code == 200]
    lost = [answer.json()["error"] for answer in answers if answer.status_code == 409]
    assert len(lost) == 15
    assert {error["code"] for error in lost} == {"ALREADY_CLAIMED"}
    assert len({error["current_holder"] for error in lost}) == 1
    assert won.json()["generation"] == 1


def test_work_that_is_released_or_left_lying_is_offered_again(http):
    pull(http, pattern="events/*")
    say(http, "events/a", 1)
    first = claim(http).json()
    assert verb(http, "pull", "release", first["token"], **of(first)).status_code == 204
    assert code(verb(http, "pull", "release", first["token"], **of(first))) == "FENCED"
    until(lambda: http.get("/wakes/here").json()[-1]["generation"] == 2)
    second = claim(http, "two").json()
    assert second["generation"] == 2
    until(lambda: http.get("/wakes/here").json()[-1]["generation"] == 3)  # the lease is over
    assert code(verb(http, "pull", "ack", second["token"], **of(second), done=True)) == "FENCED"
    assert claim(http, "three").json()["generation"] == 3


def test_a_wake_waits_for_its_stream_to_be_made(http):
    made = subscribe(http, "pull", type="pull-wake", wake_stream="wakes/later", pattern="**", lease_ttl_ms=60_000)
    assert made.status_code == 201
    say(http, "a", 1)
    until(lambda: shown(http, "pull")["status"] == "failed")
    http.put("/wakes/later", headers=JSON)
    until(lambda: http.get("/wakes/later").json(), 5)
    # It matches the pattern, too; but each wake would bring the next.
    assert acked(http, "pull").keys() == {"a"}
    time.sleep(0.3)
    assert len(http.get("/wakes/later").json()) == 1
    assert shown(http, "pull")["status"] == "active"


def test_a_webhook_has_no_claims_and_a_claim_no_callback(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, pattern="*", lease_ttl_ms=60_000)
    pull(http, pattern="*", lease_ttl_ms=60_000)
    say(http, "a", 1)
    (wake,) = until(lambda: receiver.told)
    claimed = claim(http).json()
    assert claim(http, name="hook").status_code == 400
    for what in ("ack", "release"):
        assert verb(http, "hook", what, wake["callback_token"], **of(wake)).status_code == 400
    assert verb(http, "pull", "callback", claimed["token"], **of(claimed)).status_code == 400


def test_a_server_that_is_killed_goes_on_with_what_it_had_to_tell(tmp_path, receiver):
    receiver.answer = (503, {})
    port = free_port()
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}/v1/stream", timeout=10) as http,
        alone(tmp_path, port, http) as first,
    ):
        hook(http, receiver, pattern="events/*")
        pull(http, pattern="events/*", lease_ttl_ms=60_000)
        tail = say(http, "events/a", 1)
        claimed = claim(http).json()
        until(lambda: len(receiver.calls) == 2)
        until(lambda: shown(http)["status"] == "failed")
        key = http.get("/__ds/jwks.json").json()
        time.sleep(0.2)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        second_at = receiver.calls[1][0]
        with alone(tmp_path, port, http):
            until(lambda: len(receiver.calls) == 3, 15)
            # The second pause went on where it was.
            assert receiver.calls[2][0] - second_at >= 1.6
            assert len({(told["wake_id"], told["generation"]) for told in receiver.told}) == 1
            assert http.get("/__ds/jwks.json").json() == key
            assert signed(http, receiver.calls[2])
            assert code(claim(http, "two")) == "ALREADY_CLAIMED"
            ack = {"acks": [{"stream": "events/a", "offset": tail}]}
            assert verb(http, "pull", "ack", claimed["token"], **of(claimed), **ack, done=True).status_code == 200
            receiver.answer = (200, {"done": True})
            until(lambda: acked(http) == {"events/a": tail}, 10)
            say(http, "events/b", 1)
            until(lambda: receiver.told[-1]["generation"] == 2)


@contextmanager
def alone(folder, port, http):
    command = [sys.executable, "-m", "streams.serving.alone", str(folder / "streams"), "--open", "--port", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2]) as process:
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


async def test_what_is_kept_is_whole_whenever_the_writing_ends(tmp_path):
    store = Store(tmp_path)
    kept = StoredMapping(store, "__ds/x", most=4)
    for n in range(11):
        await kept.change({"n": n, f"{n % 3}": n, "odd": n if n % 2 else None})
        again = StoredMapping(store, "__ds/x")
        await again.load()
        assert again.values == kept.values
        assert {name: value for name, value in again.values.items() if name == "n"} == {"n": n}
    # The end came after the new place was written, and before the old one went.
    for slot, told in ((0, {"": 1, "a": "old"}), (1, {"": 2, "a": "new"})):
        await store.create(f"__ds/y/{slot}", Settings("application/json"), Append([json.dumps(told).encode()]))
    halfway = StoredMapping(store, "__ds/y", most=2)
    await halfway.load()
    assert halfway.values["a"] == "new"
    for n in range(5):
        await halfway.change({"a": n})
    again, other = StoredMapping(store, "__ds/y"), StoredMapping(store, "__ds/y", most=1)
    await again.load()
    await other.load()
    assert again.values["a"] == 4
    await again.change({"a": 5})
    for _ in range(2):
        with pytest.raises(Refusal):
            await other.change({"a": 6})
        assert other.is_doubtful
    await other.load()
    assert other.values["a"] == 5
    await other.change({"a": 6})
    assert not other.is_doubtful
    await again.remove()
    assert [name for name in await store.names() if name.startswith("__ds/y")] == []
    await store.close()


async def test_what_may_have_happened_is_looked_up_before_anything_else_does(tmp_path):
    """As after an append that was refused for a lost answer, and happened all the same."""
    store = Store(tmp_path)
    everyone = Register(store, Webhooks(True))
    await everyone.ready()
    told = {"type": "pull-wake", "streams": ["a"], "wake_stream": "w"}
    subscriber, _ = await everyone.make("pull", Configuration.read(told, is_open=True), "http://here")
    behind = StoredMapping(store, "__ds/subscriptions/pull")
    await behind.load()
    await behind.change({"generation": 7})
    with pytest.raises(Refusal):
        await everyone.add(subscriber, ("b",))
    await everyone.add(subscriber, ("b",))
    assert (subscriber.standing.generation, list(subscriber.standing.links)) == (7, ["a", "b"])
    await store.create("b", Settings("application/json"), Append([b"1"]))
    for _ in range(200):
        if subscriber.standing.generation == 8:
            break
        await asyncio.sleep(0.02)
    assert subscriber.standing.wake.tails.keys() == {"b"}
    await everyone.close()
    await store.close()


def test_webhooks_that_never_answer_slow_nobody(http, hung, receiver):
    for n in range(60):
        hook(http, hung, f"hung{n}", pattern="events/*")
    hook(http, receiver, "well", pattern="events/*")
    for n in range(5):
        began = time.monotonic()
        tail = say(http, "events/a", n)
        until(lambda tail=tail: acked(http, "well") == {"events/a": tail})
        assert time.monotonic() - began < 3
    until(lambda: len(hung.calls) == 60)


async def test_those_that_failed_before_wait_for_each_other_only(hung, receiver):
    hooks = Webhooks(True)
    waiting = [
        asyncio.create_task(hooks.call(hung.url, b"{}", {}, has_failed=True)) for _ in range(webhooks.FAILING + 20)
    ]
    for _ in range(500):
        await asyncio.sleep(0.02)
        if len(hung.calls) == webhooks.FAILING:
            break
    began = time.monotonic()
    assert (await hooks.call(receiver.url, b"{}", {}, has_failed=False)).is_done
    assert time.monotonic() - began < 2
    assert len(hung.calls) == webhooks.FAILING
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await hooks.close()


GOOD = {"type": "pull-wake", "pattern": "a/*", "wake_stream": "w"}
HOOK = {"type": "webhook", "pattern": "a/*"}


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "x",
        1,
        {},
        {"type": "other"},
        {"type": ["webhook"]},
        GOOD | {"pattern": None},
        GOOD | {"pattern": ""},
        GOOD | {"pattern": 1},
        GOOD | {"pattern": "///"},
        GOOD | {"pattern": "x" * 513},
        GOOD | {"pattern": "a\n"},
        GOOD | {"pattern": "__ds/**"},
        GOOD | {"pattern": "/__ds/keys/0"},
        GOOD | {"streams": "a"},
        GOOD | {"streams": {"a": 1}},
        GOOD | {"streams": [1]},
        GOOD | {"streams": [""]},
        GOOD | {"streams": [None]},
        GOOD | {"streams": ["__ds"]},
        GOOD | {"streams": ["a\u0000"]},
        GOOD | {"streams": [f"{n}" for n in range(10_001)]},
        GOOD | {"streams": ["w"]},
        GOOD | {"wake_stream": None},
        GOOD | {"wake_stream": ["w"]},
        GOOD | {"wake_stream": "__ds/keys/0"},
        GOOD | {"wake_stream": "text"},
        GOOD | {"lease_ttl_ms": 999},
        GOOD | {"lease_ttl_ms": 600_001},
        GOOD | {"lease_ttl_ms": 1000.5},
        GOOD | {"lease_ttl_ms": "1000"},
        GOOD | {"lease_ttl_ms": True},
        GOOD | {"lease_ttl_ms": None},
        GOOD | {"description": 1},
        GOOD | {"description": "x" * 1001},
        HOOK,
        HOOK | {"webhook": "https://example.com"},
        HOOK | {"webhook": {}},
        HOOK | {"webhook": {"url": 1}},
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused_with_a_sentence(long_open, told):
    long_open.put("/text", headers={"Content-Type": "text/plain"})
    refused = long_open.put("/__ds/subscriptions/bad", content=json.dumps(told))
    assert (refused.status_code, code(refused)) == (400, "INVALID_REQUEST"), refused.text
    assert refused.json()["error"]["message"].endswith(".")
    assert long_open.get("/__ds/subscriptions/bad").status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https://localhost/",
        "https://LOCALHOST:8443/",
        "https://a.localhost./",
        "https://127.0.0.1/",
        "https://127.1.2.3:9/",
        "https://10.1.2.3/",
        "https://172.20.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://100.100.100.200/",
        "https://169.254.169.254/latest",
        "https://168.63.129.16/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[::1",
        "https://user:word@example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com\\@10.0.0.1/",
        "https://example.com/#part",
        "https://ex\u00e4mple.com/",
        "https://example.com/\n",
        "https://example.com/" + "x" * 2048,
        "http://localhost.example.com/",
        "http://[::2]/",
    ],
)
def test_an_address_inside_or_without_tls_is_no_webhook(long_open, url):
    refused = subscribe(long_open, "bad", type="webhook", pattern="*", webhook={"url": url})
    assert (refused.status_code, code(refused)) == (400, "WEBHOOK_URL_REJECTED")


def test_addresses_of_the_internet_are_webhooks_and_so_is_this_machine_where_all_is_open(http):
    for n, url in enumerate(
        (
            "https://example.com/hook?a=b",
            "https://example.com:8443",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "http://localhost:1/",
            "http://127.0.0.9/",
            "http://[::1]:80/x",
        )
    ):
        assert subscribe(http, f"good{n}", type="webhook", pattern="*", webhook={"url": url}).status_code == 201


def test_requests_that_make_no_sense_are_refused_and_never_a_failure_of_ours(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, pattern="*", lease_ttl_ms=60_000)
    pull(http, pattern="*")
    say(http, "a", 1)
    (wake,) = until(lambda: receiver.told)
    token, base = wake["callback_token"], "/__ds/subscriptions"
    for body in (b"{", b"[1]", b"null", b"\xff", b'{"a":NaN}', b"[" * 100_000, b'"x"'):
        for method, path in (
            ("PUT", "hook"),
            ("PUT", "new"),
            ("POST", "hook/streams"),
            ("POST", "pull/claim"),
            ("POST", "hook/callback"),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            refused = http.request(method, f"{base}/{path}", content=body, headers=headers)
            assert (refused.status_code, code(refused)) == (400, "INVALID_REQUEST"), (path, body[:20])
    for worker in (None, "", 1, "x" * 201):
        assert verb(http, "pull", "claim", worker=worker).status_code == 400
    for acks in ("x", {"a": 1}, [1], [[]], [None]):
        assert verb(http, "hook", "callback", token, **of(wake), acks=acks).status_code == 400
    for ack in ({}, {"stream": "a"}, {"offset": 1, "stream": "a"}):
        assert code(verb(http, "hook", "callback", token, **of(wake), acks=[ack])) == "INVALID_OFFSET"
    tail = "0000000000000000_0000000000000000"
    for stream in (None, 1, "", [], "x" * 600):
        assert verb(http, "hook", "callback", token, **of(wake), acks=[{"stream": stream, "offset": tail}]).is_error
    for streams in (None, "a", [1], [""], ["__ds/x"]):
        assert http.post(f"{base}/hook/streams", json={"streams": streams}).status_code == 400


def test_every_other_address_says_that_it_is_none(http, receiver):
    hook(http, receiver, pattern="*")
    pull(http, pattern="*")
    base = "/__ds/subscriptions"
    large = http.put(f"{base}/new", content=b'{"x": "' + b"x" * (1 << 20) + b'"}')
    assert large.status_code == 413
    for method, path, status in (
        ("GET", "/__ds", 404),
        ("PUT", "/__ds", 404),
        ("GET", "/__ds/", 404),
        ("PUT", "/__ds/mine", 404),
        ("PUT", "/%2F__ds/mine", 404),
        ("POST", "/__ds/jwks.json", 405),
        ("GET", "/__ds/jwks.json/x", 404),
        ("PUT", f"{base}/", 404),
        ("PUT", f"{base}/.", 404),
        ("PUT", f"{base}/%2E%2E", 404),
        ("PUT", f"{base}/{'x' * 129}", 404),
        ("PUT", f"{base}/a%00", 404),
        ("PUT", f"{base}/%FF", 404),
        ("POST", f"{base}/hook", 405),
        ("PATCH", f"{base}/hook", 405),
        ("GET", f"{base}/hook/claim", 405),
        ("GET", f"{base}/hook/callback", 405),
        ("GET", f"{base}/hook/streams", 405),
        ("GET", f"{base}/hook/streams/a", 405),
        ("DELETE", f"{base}/hook/streams/", 400),
        ("POST", f"{base}/hook/other", 404),
        ("GET", f"{base}/nobody", 404),
        ("POST", f"{base}/nobody/claim", 404),
        ("POST", f"{base}/nobody/callback", 401),
        ("DELETE", f"{base}/nobody/streams/a", 404),
    ):
        assert http.request(method, path).status_code == status, (method, path)


def test_what_is_kept_under_reserved_names_is_nobodys_stream(http, receiver):
    hook(http, receiver, pattern="**")
    for name in ("keys/0", "keys/1", "catalogue/0", "catalogue/1", "subscriptions/hook/0", "subscriptions/hook/1"):
        for path in (f"/__ds/{name}", f"/%2F__ds/{name}", f"/%5F_ds/{name}"):
            assert http.get(path).status_code in (404, 405)
            assert http.delete(path).status_code in (404, 405)
            assert http.post(path, headers=JSON, content=b"{}").status_code in (404, 405)
        for source in (f"/v1/stream/__ds/{name}", f"/v1/stream/%5F%5Fds/{name}"):
            assert http.put("/copy", headers=JSON | {"Stream-Forked-From": source}).status_code == 404
    assert http.get("/copy").status_code == 404
    assert acked(http) == {}


def test_in_a_house_only_arbe_subscribes_and_only_within_one_house(living, as_arbe, as_ada):
    base = "/__ds/subscriptions"
    told = {"type": "pull-wake", "pattern": "oak/*", "wake_stream": "oak/wakes", "lease_ttl_ms": 1000}
    as_arbe.put("/oak/wakes", headers=JSON)
    assert as_arbe.put(f"{base}/oak", json=told).status_code == 201
    for other in (
        {"pattern": "*/x"},
        {"pattern": "**"},
        {"pattern": "%2A/x"},
        {"pattern": "oak"},
        {"pattern": "elm/*"},
        {"wake_stream": "elm/wakes"},
        {"streams": ["elm/talk"]},
    ):
        assert as_arbe.put(f"{base}/other", json=told | other).status_code == 400
    assert as_arbe.post(f"{base}/oak/streams", json={"streams": ["elm/talk"]}).status_code == 400
    refused = as_arbe.put(f"{base}/web", json=HOOK | {"pattern": "oak/*", "webhook": {"url": "http://127.0.0.1:1/"}})
    assert code(refused) == "WEBHOOK_URL_REJECTED"
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/streams"),
        ("DELETE", "/streams/oak/x"),
        ("POST", "/claim"),
    ):
        assert as_ada.request(method, f"{base}/oak{path}", json=told).status_code == 404
    with living.http("nobody") as nobody:
        assert nobody.get(f"{base}/oak").status_code == 401
        assert nobody.get("/__ds/jwks.json").status_code == 200
        as_arbe.put("/elm/talk", headers=JSON, content=b"1")
        assert code(as_arbe.post(f"{base}/oak/claim", json={"worker": "one"})) == "NO_PENDING_WORK"
        as_arbe.put("/oak/talk", headers=JSON, content=b"1")
        claimed = as_arbe.post(f"{base}/oak/claim", json={"worker": "one"}).json()
        assert [each["path"] for each in claimed["streams"] if each["has_pending"]] == ["oak/talk"]
        assert verb(nobody, "oak", "release", "wrong", **of(claimed)).status_code == 401
        assert verb(nobody, "oak", "release", claimed["token"], **of(claimed)).status_code == 204


@pytest.fixture
def certified(tmp_path):
    """A webhook over TLS that shows a certificate for hooks.example, and who vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "hooks.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(file)
    receiver = Receiver()
    receiver.server.socket = own.wrap_socket(receiver.server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.url = f"https://hooks.example:{receiver.server.server_port}/hook"
    yield receiver, ssl.create_default_context(cafile=str(file))
    receiver.stop()


async def test_the_connection_goes_to_the_address_that_was_looked_at_and_proves_the_name(certified):
    receiver, trust = certified

    async def resolve(host, port):
        return ["127.0.0.1"]

    hooks = Webhooks(False, resolve, trust, may_call=lambda address: True)
    answered = await hooks.call(receiver.url, b"{}", {}, has_failed=False)
    assert (answered.is_taken, answered.is_done) == (True, True), answered.why
    assert receiver.calls[0][2]["Host"] == receiver.url.split("/")[2]
    other = await hooks.call(receiver.url.replace("hooks.", "other."), b"{}", {}, has_failed=False)
    assert not other.is_taken
    assert "certificate" in other.why.lower()
    await hooks.close()
    stranger = Webhooks(False, resolve, may_call=lambda address: True)
    assert not (await stranger.call(receiver.url, b"{}", {}, has_failed=False)).is_taken
    await stranger.close()
    assert len(receiver.calls) == 1


async def test_a_name_that_turns_inside_between_two_calls_gets_nothing(certified):
    receiver, trust = certified
    inside = [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], []]
    looked = []

    async def resolve(host, port):
        looked.append(host)
        return inside[len(looked) - 1]

    hooks = Webhooks(False, resolve, trust)
    for _ in inside:
        answered = await hooks.call(receiver.url, b"{}", {}, has_failed=False)
        assert not answered.is_taken
        assert "private network" in answered.why or "no address" in answered.why
    await hooks.close()
    assert looked == ["hooks.example"] * len(inside)
    assert receiver.calls == []


async def test_numbers_in_disguise_and_names_of_this_machine_are_seen_through(receiver):
    hooks = Webhooks(False)
    port = receiver.server.server_port
    for host in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1"):
        answered = await hooks.call(f"https://{host}:{port}/", b"{}", {}, has_failed=False)
        assert not answered.is_taken
        assert "private network" in answered.why or "gaierror" in answered.why, answered.why
    await hooks.close()
    assert receiver.calls == []


def test_only_places_on_the_internet_are_public():
    public = ("1.1.1.1", "2606:4700:4700::1111")
    for text in (*public, "10.0.0.1", "::ffff:1.1.1.1", "2002:101:101::", "ff0e::1", "240.0.0.1", "fec0::1", "::"):
        assert webhooks.is_public(ip_address(text)) == (text in public), text

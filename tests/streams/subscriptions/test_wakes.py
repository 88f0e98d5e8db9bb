"""Subscriptions over HTTP: who is woken, when again, and what the token is good for."""

import asyncio
import time
from itertools import pairwise

import pytest

from streams.storage.store import Store
from streams.subscriptions import progress as standing
from streams.subscriptions.configuration import matches
from tests.streams.subscriptions.asking import JSON, acked, code, hook, of, say, shown, signed, until, verb


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
    until(lambda: acked(http) == {"a": tail})
    assert shown(http)["status"] == "active"
    assert {(told["wake_id"], told["generation"], told["callback_token"]) for told in receiver.told} == {
        (receiver.told[0]["wake_id"], 1, receiver.told[0]["callback_token"])
    }
    at = [moment for moment, _, _ in receiver.calls]
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert len(pauses) == 3
    for pause, about in zip(pauses, (1, 2, 4), strict=True):
        assert pause >= 0.8 * about
    assert {headers["Host"] for _, _, headers in receiver.calls} == {receiver.url.split("/")[2]}


def test_pauses_double_from_one_second_to_sixty_and_spread_by_a_fifth():
    for tries, about in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)):
        found = [standing.pause(tries) for _ in range(500)]
        assert 0.8 * about <= min(found) < 0.85 * about
        assert 1.15 * about < max(found) <= 1.2 * about


def test_a_lease_that_expires_with_work_left_brings_a_new_wake(http, receiver):
    receiver.answer = (200, {})
    hook(http, receiver, pattern="*", lease_ttl_ms=2500)
    tail = say(http, "a", 1)
    until(lambda: len(receiver.calls) == 2)
    first, second = receiver.told
    assert receiver.calls[1][0] - receiver.calls[0][0] >= 2.4
    assert (first["generation"], second["generation"]) == (1, 2)
    assert first["wake_id"] != second["wake_id"]
    assert code(verb(http, "hook", "callback", first["callback_token"], **of(first), done=True)) == "FENCED"
    # Each sign of life is a new lease; what it acknowledged is done when the lease is over.
    for _ in range(6):  # longer than one lease
        time.sleep(0.5)
        ack = {"acks": [{"path": "a", "offset": tail}]}
        assert verb(http, "hook", "callback", second["callback_token"], **of(second), **ack).status_code == 200
    time.sleep(2.8)
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
    began = time.process_time()
    assert not matches("/".join(["**", "a"] * 128), "/".join(["a"] * 120 + ["b"] * 100))
    assert time.process_time() - began < 5  # and not the age of the universe


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

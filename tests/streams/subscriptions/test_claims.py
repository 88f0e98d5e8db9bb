"""Subscriptions whose wakes go to a stream: whoever claims one first works on it, as long as the lease is."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.streams.subscriptions.asking import (
    JSON,
    acked,
    claim,
    code,
    hook,
    of,
    pull,
    say,
    shown,
    subscribe,
    until,
    verb,
)


def test_wakes_go_to_a_stream_and_whoever_claims_first_works(http):
    assert pull(http, pattern="events/*", lease_ttl_ms=2500).status_code == 201
    assert code(claim(http)) == "NO_PENDING_WORK"
    tail = say(http, "events/a", 1)
    (event,) = until(lambda: http.get("/wakes/here").json())
    assert abs(event.pop("ts") / 1000 - time.time()) < 10
    assert event == {"type": "wake", "subscription_id": "pull", "stream": "events/a", "generation": 1}
    first = claim(http, "one").json()
    assert first["lease_ttl_ms"] == 2500
    assert [(each["path"], each["tail_offset"]) for each in first["streams"]] == [("events/a", tail)]
    busy = claim(http, "two")
    assert (busy.status_code, code(busy)) == (409, "ALREADY_CLAIMED")
    assert busy.json()["error"]["current_holder"] == "one"
    assert busy.json()["error"]["generation"] == 1
    ack = {"acks": [{"stream": "events/a", "offset": tail}]}
    for _ in range(6):  # longer than one lease
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
    pull(http, pattern="events/*", lease_ttl_ms=2000)
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
    until(lambda: http.get("/wakes/later").json())
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

"""What one request may bring, and how many tails one credential may have open."""

import asyncio
import json
import time

import pytest

from arbe.serving import _bounded
from streams.door import LONGEST_COOKIES
from streams.envelope import MOST_INSIDE, MOST_OUTSIDE, sealed
from streams.jsontext import MOST, few, messages
from streams.refusals import Malformed, Refusal, TooLarge
from streams.wire import LONGEST_NAME, MOST_BODY, Caller, Tails

JSON = {"Content-Type": "application/json"}
ARBE, ADA = Caller(internal=True), Caller(False, "ada", "oak", "token ada")
EVENT = b'{"type":"deploy.done"}'


def many(count, one=EVENT):
    return b"[" + b",".join([one] * count) + b"]"


@pytest.fixture
def log(as_arbe):
    as_arbe.put("/oak/log", headers={"Arbe-Envelope": "true"}).raise_for_status()
    return "/oak/log"


def test_one_request_brings_a_thousand_events_and_no_more(as_ada, as_arbe, log):
    assert as_ada.post(log, headers=JSON, content=many(MOST_OUTSIDE)).status_code == 204
    for count in (MOST_OUTSIDE + 1, 360_000):  # the last is all that 8 MB hold
        began = time.monotonic()
        refused = as_ada.post(log, headers=JSON, content=many(count))
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
        assert "1,000 messages" in refused.json()["detail"] and time.monotonic() - began < 2
    assert len(as_arbe.get(log).json()) == MOST_OUTSIDE


def test_arbe_itself_brings_ten_times_as_many():
    assert len(sealed(many(MOST_INSIDE), "log", ARBE)) == MOST_INSIDE
    with pytest.raises(TooLarge):
        sealed(many(MOST_INSIDE + 1), "log", ARBE)


def test_commas_inside_of_an_event_do_not_count():
    event = json.dumps({"type": "deploy.done", "payload": {"numbers": [1] * 5000}}).encode()
    assert len(sealed(event, "log", ADA)) == len(sealed(b"\n[" + event + b"]", "log", ADA)) == 1
    with pytest.raises(TooLarge):
        sealed(b" \n" + many(MOST_OUTSIDE + 1), "log", ADA)
    with pytest.raises(Malformed):
        few(many(MOST_OUTSIDE + 1)[:-1], MOST_OUTSIDE)


def test_plain_json_has_fifty_thousand_messages_at_most(as_arbe):
    as_arbe.put("/oak/plain", headers=JSON).raise_for_status()
    assert as_arbe.post("/oak/plain", headers=JSON, content=many(MOST + 1, b"1")).status_code == 413
    assert as_arbe.post("/oak/plain", headers=JSON, content=many(MOST, b"1")).status_code == 204
    assert len(messages(many(MOST, b"1"))) == MOST


def test_what_grows_in_its_envelopes_is_measured_there(as_arbe, log):
    """Numbers do, when they are written anew."""
    number = b'{"type":"deploy.done","payload":{"x":[%b]}}' % b",".join([b"1e15"] * 400_000)
    body = b"[" + b",".join([number] * 4) + b"]"
    assert len(body) < MOST_BODY
    refused = as_arbe.post(log, headers=JSON, content=body)
    assert refused.status_code == 413 and "envelopes" in refused.json()["detail"]
    assert as_arbe.post(log, headers=JSON, content=number).status_code == 204


@pytest.mark.parametrize("name", ["Producer-Id", "Stream-Seq"])
def test_what_is_kept_of_a_writer_is_short(as_arbe, name):
    as_arbe.put("/oak/plain", headers=JSON).raise_for_status()
    numbers = {"Producer-Epoch": "0", "Producer-Seq": "0"} if name == "Producer-Id" else {}
    long = as_arbe.post("/oak/plain", headers=JSON | numbers | {name: "x" * (LONGEST_NAME + 1)}, content=b"1")
    assert (long.status_code, long.json()["code"]) == (400, "malformed") and name in long.json()["detail"]
    short = as_arbe.post("/oak/plain", headers=JSON | numbers | {name: "x" * LONGEST_NAME}, content=b"1")
    assert short.status_code in (200, 204)


def test_so_many_tails_are_open_at_once_and_no_more(living, as_ada, log):
    """The door of these tests allows three."""
    tails = [as_ada.stream("GET", f"{log}?offset=now&live=sse") for _ in range(3)]
    opened = [tail.__enter__() for tail in tails]
    assert [one.status_code for one in opened] == [200] * 3
    for live in ("sse", "long-poll"):
        refused = as_ada.get(f"{log}?offset=now&live={live}")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tails")
        assert refused.headers["retry-after"] == "5"
    assert as_ada.get(f"{log}?offset=-1").status_code == 200  # who does not stay is no tail
    with living.http("bo") as bo, living.http("arbe") as arbe:
        assert bo.get(f"{log}?offset=now&live=long-poll").status_code == 204
        assert arbe.get(f"{log}?offset=now&live=long-poll").status_code == 204
    tails.pop().__exit__(None, None, None)
    end = time.monotonic() + 5
    while (answer := as_ada.get(f"{log}?offset=now&live=long-poll")).status_code == 429:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answer.status_code == 204
    for tail in tails:
        tail.__exit__(None, None, None)


def test_a_link_is_in_many_hands():
    tails = Tails(1)
    link = Caller(False, "ada", "oak", "agent ada", "log", "r", until=9_999_999_999)
    held = [tails.one_more(link) for _ in range(10)]
    for one in held:
        one.__enter__()
    with pytest.raises(Refusal), tails.one_more(link):
        pass
    with tails.one_more(ADA):
        pass
    for one in held:
        one.__exit__(None, None, None)
    assert not tails._open


def test_pages_take_no_cookies_that_are_read_for_seconds():
    sent = []

    async def send(message):
        sent.append(message)

    def bounded(*cookies):
        scope = {"type": "http", "headers": [(b"cookie", cookie) for cookie in cookies]}
        return asyncio.run(_bounded(scope, None, send))

    assert bounded(b"x" * LONGEST_COOKIES) is not None and sent == []
    assert bounded(b"x" * LONGEST_COOKIES, b"y") is None
    assert sent[0]["status"] == 431 and json.loads(sent[1]["body"])["code"] == "too_large"

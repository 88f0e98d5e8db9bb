"""What the protocol promises over HTTP, what the envelope adds, and whom the door lets in."""

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

ZERO = "0000000000000000_0000000000000000"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def talk(as_arbe):
    """An enveloped stream of Oak."""
    assert as_arbe.put("/oak/talk", headers=JSON | {"Arbe-Envelope": "true"}).status_code == 201
    return "/oak/talk"


@pytest.fixture
def log(as_arbe):
    """A stream of plain JSON messages."""
    assert as_arbe.put("/oak/log", headers=JSON).status_code == 201
    return "/oak/log"


def say(http, path, *texts, **headers):
    return http.post(path, json=[{"type": "message", "payload": {"text": text}} for text in texts], headers=headers)


def add(http, path, body, **headers):
    return http.post(path, content=body, headers=JSON | {name.replace("_", "-"): str(v) for name, v in headers.items()})


def test_creating_twice_does_it_once_and_other_settings_are_a_conflict(as_arbe):
    first = as_arbe.put("/oak/x", headers=JSON, content=b"[1, 2]")
    assert first.status_code == 201
    assert first.headers["location"].endswith("/v1/stream/oak/x")
    again = as_arbe.put("/oak/x", headers=JSON | {"Content-Type": "Application/JSON; charset=utf-8"}, content=b"[3]")
    assert (again.status_code, again.headers["stream-next-offset"]) == (200, first.headers["stream-next-offset"])
    for other in ({"Content-Type": "text/plain"}, JSON | {"Arbe-Envelope": "true"}, JSON | {"Stream-Closed": "true"}):
        assert as_arbe.put("/oak/x", headers=other).json()["code"] == "different_stream"
    assert as_arbe.get("/oak/x").content == b"[1,2]"


def test_a_json_array_is_flattened_one_level_and_nothing_is_rewritten(as_arbe, log):
    done = add(as_arbe, log, b' [ 1.0 ,[2, 3], {"a" :\n "\xc3\xa9]"},12345678901234567890123 ] ')
    assert (done.status_code, done.content) == (204, b"")
    assert as_arbe.get(log).content == b'[1.0,[2, 3],{"a" :\n "\xc3\xa9]"},12345678901234567890123]'


def test_a_body_that_holds_no_message_is_refused_with_a_sentence(as_arbe, log, talk):
    deep = b"[" * 900 + b"]" * 900
    for body in (b"[]", b"", b"[1,", b"nan", b"\xff", b"[" * 100_000, b'{"a":1}x', b"[1,]", b"[\xed\xa0\x80]"):
        refused = add(as_arbe, log, body)
        assert (refused.status_code, refused.json()["code"]) == (400, "malformed")
        assert refused.json()["detail"].endswith(".")
    assert add(as_arbe, talk, b'{"type": "message", "payload": {"a": %b}}' % deep).status_code == 400
    assert (as_arbe.get(log).content, as_arbe.get(talk).content) == (b"[]", b"[]")


def test_reading_on_from_an_offset_gives_what_came_after_it(as_arbe, log):
    middle = add(as_arbe, log, b"1").headers["stream-next-offset"]
    end = add(as_arbe, log, b"[2,3]").headers["stream-next-offset"]
    page = as_arbe.get(log, params={"offset": middle})
    assert (page.json(), page.headers["stream-next-offset"], page.headers["stream-up-to-date"]) == ([2, 3], end, "true")
    tail = as_arbe.get(log, params={"offset": "now"})
    assert (tail.json(), tail.headers["stream-next-offset"]) == ([], end)
    part = as_arbe.get(log, params={"limit": 2})
    assert part.json() == [1, 2]
    assert "stream-up-to-date" not in part.headers


@pytest.mark.parametrize("live", ["", "&live=long-poll", "&live=sse"])
def test_an_offset_that_was_never_given_out_is_refused(as_arbe, log, live):
    for offset in ("", "x", "1_", "1_2_3", "-2", "1_1", "9_9", "0_0%00", "0_0%0A", "٣_٣", f"{ZERO}&offset={ZERO}"):
        refused = as_arbe.get(f"{log}?offset={offset}{live}")
        assert (refused.status_code, refused.json()["code"]) == (400, "malformed"), offset


def test_a_page_already_seen_is_not_sent_again(as_arbe, log):
    add(as_arbe, log, b"1")
    tag = as_arbe.get(log).headers["etag"]
    same = as_arbe.get(log, headers={"If-None-Match": tag})
    assert (same.status_code, same.content) == (304, b"")
    as_arbe.post(log, headers={"Stream-Closed": "true"})
    closed = as_arbe.get(log, headers={"If-None-Match": tag})
    assert (closed.status_code, closed.headers["stream-closed"]) == (200, "true")
    assert closed.headers["x-content-type-options"] == "nosniff"
    assert closed.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_tag_tells_whether_a_page_reaches_the_tail(as_arbe, log):
    add(as_arbe, log, b"1")
    tag = as_arbe.get(log).headers["etag"]
    add(as_arbe, log, b"2")
    part = as_arbe.get(log, params={"limit": 1}, headers={"If-None-Match": tag})
    assert (part.status_code, part.content, "stream-up-to-date" in part.headers) == (200, b"[1]", False)
    weakly = as_arbe.get(log, params={"limit": 1}, headers={"If-None-Match": f'"x", W/{part.headers["etag"]}'})
    assert weakly.status_code == 304


def test_who_has_a_page_already_is_told_where_to_go_on(as_arbe, log):
    add(as_arbe, log, b"1")
    for live in ({}, {"offset": "-1", "live": "long-poll"}):
        page = as_arbe.get(log, params=live)
        same = as_arbe.get(log, params=live, headers={"If-None-Match": page.headers["etag"]})
        assert (same.status_code, same.content, "content-type" in same.headers) == (304, b"", False)
        for name in ("etag", "cache-control", "stream-next-offset", "stream-up-to-date", "vary"):
            assert same.headers[name] == page.headers[name]
        assert ("stream-cursor" in same.headers) == bool(live)


def test_what_is_no_text_is_no_address(as_arbe):
    for path in ("/oak/%ff", "/oak/%fe", "/oak/%ed%a0%80"):
        assert as_arbe.put(path, headers=JSON).status_code == 404
    assert as_arbe.put("/oak/%ef%bf%bd", headers=JSON).status_code == 201
    assert as_arbe.get("/oak/%ff").status_code == 404
    assert as_arbe.get("/oak/%ef%bf%bd").status_code == 200


def test_nothing_in_a_stream_is_a_page_that_may_do_something(as_arbe):
    html = {"Content-Type": "text/html"}
    as_arbe.put("/oak/page", headers=html, content=b"<script>1</script>")
    for answer in (as_arbe.get("/oak/page"), as_arbe.get("/oak/none"), as_arbe.post("/oak/page", headers=html)):
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_pages_behind_a_door_are_kept_for_whom_they_were_shown_to(as_arbe, log):
    assert as_arbe.get(log).headers["vary"] == "Authorization, Cookie"


def test_a_head_does_not_say_that_there_is_nothing(as_arbe, log):
    add(as_arbe, log, b"1")
    assert "content-length" not in as_arbe.head(log).headers


def test_a_stream_closes_once_for_good_and_its_end_can_be_read(as_arbe, log):
    closed = add(as_arbe, log, b"1", Stream_Closed="true")
    assert (closed.status_code, closed.headers["stream-closed"]) == (204, "true")
    assert as_arbe.post(log, headers={"Stream-Closed": "true"}).status_code == 204
    refused = add(as_arbe, log, b"2")
    assert (refused.status_code, refused.json()["code"]) == (409, "closed")
    assert refused.headers["stream-next-offset"] == closed.headers["stream-next-offset"]
    head = as_arbe.head(log)
    assert (head.headers["stream-closed"], head.headers["cache-control"]) == ("true", "no-store")
    at = {"offset": head.headers["stream-next-offset"], "live": "long-poll"}
    assert as_arbe.get(log, params=at).status_code == 204


def test_a_producer_that_asks_again_is_told_that_it_was_done(as_arbe, log):
    producer = {"Producer_Id": "p", "Producer_Epoch": 0}
    assert add(as_arbe, log, b"1", **producer, Producer_Seq=0).status_code == 200
    twice = add(as_arbe, log, b"1", **producer, Producer_Seq=0)
    assert (twice.status_code, twice.headers["producer-seq"]) == (204, "0")
    gap = add(as_arbe, log, b"3", **producer, Producer_Seq=2)
    assert (gap.status_code, gap.headers["producer-expected-seq"]) == (409, "1")
    assert add(as_arbe, log, b"[", **producer, Producer_Seq=1).status_code == 400
    assert add(as_arbe, log, b"2", **producer, Producer_Seq=1).status_code == 200
    assert add(as_arbe, log, b"2", Producer_Id="p", Producer_Epoch=1, Producer_Seq=0).status_code == 200
    fenced = add(as_arbe, log, b"2", **producer, Producer_Seq=2)
    assert (fenced.status_code, fenced.headers["producer-epoch"]) == (403, "1")
    assert add(as_arbe, log, b"2", Producer_Id="p").status_code == 400
    assert add(as_arbe, log, b"2", Producer_Id="p", Producer_Epoch="1e3", Producer_Seq=0).status_code == 400
    assert as_arbe.get(log).json() == [1, 2, 2]


def test_stream_seq_must_grow_byte_by_byte(as_arbe, log):
    assert add(as_arbe, log, b"1", Stream_Seq="2").status_code == 204
    assert add(as_arbe, log, b"2", Stream_Seq="10").json()["code"] == "sequence"
    assert add(as_arbe, log, b"2", Stream_Seq="a").status_code == 204


def test_types_are_checked_and_sizes_bounded(as_arbe, as_ada, log, talk):
    assert as_arbe.post(log, content=b"x", headers={"Content-Type": "text/plain"}).json()["code"] == "content_type"
    assert as_arbe.post(log, content=b"x").status_code == 400
    assert add(as_arbe, log, b'"' + b"x" * (8 << 20) + b'"').status_code == 413
    assert as_arbe.post(log, content=(b"x" * (1 << 20) for _ in range(9)), headers=JSON).status_code == 413
    refused = say(as_ada, talk, "x" * (1 << 20))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert say(as_arbe, talk, "x" * (1 << 20)).status_code == 204


def test_methods_that_a_stream_does_not_know_are_refused(as_arbe):
    assert as_arbe.patch("/oak/later").status_code == 405
    assert as_arbe.options("/oak/later").status_code == 204


def test_an_append_may_say_where_it_believes_the_tail_to_be(as_arbe, log):
    begun = as_arbe.head(log).headers["stream-next-offset"]
    done = add(as_arbe, log, b"1", If_Match=f'"{begun}"')
    assert (done.status_code, done.headers["etag"]) == (204, f'"{done.headers["stream-next-offset"]}"')
    moved = add(as_arbe, log, b"2", If_Match=begun)
    assert (moved.status_code, moved.json()["code"]) == (412, "tail_moved")
    assert moved.headers["stream-next-offset"] == done.headers["stream-next-offset"]
    assert moved.headers["etag"] == done.headers["etag"]
    assert add(as_arbe, log, b"2", If_Match=moved.headers["etag"]).status_code == 204
    for wrong in ({"If_Match": "*"}, {"If_Match": begun, "Producer_Id": "p", "Producer_Epoch": 0, "Producer_Seq": 0}):
        assert add(as_arbe, log, b"3", **wrong).status_code == 400
    assert as_arbe.get(log).json() == [1, 2]


def test_of_many_who_expect_the_same_tail_one_gets_it(as_arbe, living, log):
    begun = as_arbe.head(log).headers["stream-next-offset"]

    def attempt(number):
        with living.http() as http:
            return add(http, log, str(number).encode(), If_Match=begun).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == [204, *[412] * 7]
    assert len(as_arbe.get(log).json()) == 1


def test_a_stream_with_a_time_to_live_ends_when_nobody_comes(as_arbe):
    made = as_arbe.put("/oak/brief", headers=JSON | {"Stream-TTL": "1"})
    assert (made.status_code, made.headers["stream-ttl"]) == (201, "1")
    for _ in range(3):
        time.sleep(0.6)
        assert as_arbe.get("/oak/brief").status_code == 200
    assert as_arbe.head("/oak/brief").headers["stream-ttl"] == "1"
    time.sleep(1.2)
    assert as_arbe.head("/oak/brief").status_code == 404
    assert as_arbe.put("/oak/brief", headers=JSON).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Stream-TTL": "01"},
        {"Stream-TTL": "1.5"},
        {"Stream-TTL": ""},
        {"Stream-TTL": "9" * 30},
        {"Stream-Expires-At": "tomorrow"},
        {"Stream-Expires-At": "2030-02-30T00:00:00Z"},
        {"Stream-Expires-At": "2030-01-01"},
        {"Stream-TTL": "60", "Stream-Expires-At": "2030-01-01T00:00:00Z"},
        {"Arbe-Retain": "many"},
        {"Stream-Fork-Sub-Offset": "0"},
        {"Stream-Fork-Offset": ZERO},
        {"Stream-Forked-From": "elsewhere"},
        {"Stream-Forked-From": "/v1/stream/oak/log", "Stream-Fork-Offset": "5"},
        {"Stream-Forked-From": "/v1/stream/oak/log", "Stream-Fork-Sub-Offset": "1"},
    ],
)
def test_settings_that_make_no_sense_are_refused_and_nothing_is_made(as_arbe, log, headers):
    assert as_arbe.put("/oak/odd", headers=JSON | headers).status_code == 400
    assert as_arbe.get("/oak/odd").status_code == 404


def test_a_member_may_not_fork_what_they_perhaps_may_not_read(as_ada, log):
    refused = as_ada.put("/oak/mine", headers={"Stream-Forked-From": "/v1/stream/oak/log"})
    assert refused.status_code == 403


def test_deleting_leaves_nothing(as_arbe, log):
    add(as_arbe, log, b"1")
    tag = as_arbe.get(log).headers["etag"]
    assert as_arbe.delete(log).status_code == 204
    assert [as_arbe.get(log).status_code, as_arbe.delete(log).status_code, add(as_arbe, log, b"1").status_code] == [
        404
    ] * 3
    assert as_arbe.put(log, headers=JSON).status_code == 201
    add(as_arbe, log, b"2")
    assert as_arbe.get(log, headers={"If-None-Match": tag}).json() == [2]


ODD = ["", "0", "-1", "now", "true", "1e3", "9" * 40, "\x7f", "é", '"', "*", ",", "a" * 3000, ZERO, "application/json"]
HEADERS = (
    "Content-Type", "Stream-Closed", "Stream-Seq", "Producer-Id", "Producer-Epoch", "Producer-Seq", "If-None-Match",
    "Stream-TTL", "Stream-Forked-From", "Arbe-Envelope", "Host",
)  # fmt: skip
BODIES = [b"", b"1", b"[]", b"{", b"\xff\x00", b'{"type": "message"}', b'[{"type": "a.b", "payload": {}}, 3]']


def test_nothing_odd_is_ever_answered_with_a_500(as_arbe, as_ada, talk, log):
    chance = random.Random(7)
    for _ in range(400):
        path = chance.choice([talk, log, "/oak/%00", "/oak/é%2f..", "/oak/new", "/a/b/c", "/"])
        headers = {name: chance.choice(ODD).encode() for name in chance.sample(HEADERS, chance.randint(0, 4))}
        query = {name: chance.choice(ODD) for name in chance.sample(["offset", "limit", "before", "cursor", "x"], 2)}
        method = chance.choice(["GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH"])
        content = chance.choice(BODIES) if method in ("POST", "PUT") else None
        http = chance.choice([as_arbe, as_ada])
        answer = http.request(method, path, headers=headers, params=query, content=content)
        assert answer.status_code < 500 or answer.status_code == 501, (method, path, headers, query, content)
        if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json" and answer.content:
            assert answer.json().keys() == {"code", "detail"}


def later(seconds, act):
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_a_long_poll_waits_for_the_next_message_and_not_for_ever(as_arbe, log, living):
    at = add(as_arbe, log, b"1").headers["stream-next-offset"]
    waiting = {"offset": at, "live": "long-poll"}
    quiet = as_arbe.get(log, params=waiting)
    assert (quiet.status_code, quiet.headers["stream-next-offset"]) == (204, at)
    assert int(quiet.headers["stream-cursor"]) > 0
    with living.http() as other:
        adding = later(0.1, lambda: add(other, log, b"2"))
        heard = as_arbe.get(log, params=waiting | {"cursor": quiet.headers["stream-cursor"]})
        adding.join()
    assert heard.json() == [2]
    assert int(heard.headers["stream-cursor"]) > int(quiet.headers["stream-cursor"])
    assert as_arbe.get(log, params={"live": "long-poll"}).status_code == 400


def test_closing_wakes_a_long_poll(as_arbe, log, living):
    with living.http() as other:
        closing = later(0.1, lambda: other.post(log, headers={"Stream-Closed": "true"}))
        began = time.monotonic()
        ended = as_arbe.get(log, params={"offset": "now", "live": "long-poll"})
        closing.join()
    assert (ended.status_code, ended.headers["stream-closed"]) == (204, "true")
    assert time.monotonic() - began < 1


def events(lines):
    """(kind, data) of each server-sent event."""
    kind, data = "", []
    for line in lines:
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data:"):
            data.append(line[5:])
        elif not line and kind:
            yield kind, "\n".join(data)
            kind, data = "", []


def test_server_sent_events_come_in_pairs_until_the_stream_closes(as_arbe, log, living):
    add(as_arbe, log, b'["a", "b"]')
    with living.http() as other, as_arbe.stream("GET", log, params={"offset": "-1", "live": "sse"}) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        heard = events(stream.iter_lines())
        assert next(heard) == ("data", '["a","b"]')
        assert json.loads(next(heard)[1])["upToDate"] is True
        add(other, log, b'"c"', Stream_Closed="true")
        kinds = list(heard)
    assert kinds[0] == ("data", '["c"]')
    assert json.loads(kinds[1][1])["streamClosed"] is True
    assert len(kinds) == 2


def test_no_payload_can_forge_an_event(as_arbe):
    as_arbe.put("/oak/text", headers={"Content-Type": "text/plain"})
    headers = {"Content-Type": "text/plain", "Stream-Closed": "true"}
    as_arbe.post("/oak/text", content=b"a\r\n\nevent: control\rdata:{}", headers=headers)
    with as_arbe.stream("GET", "/oak/text", params={"offset": "-1", "live": "sse"}) as stream:
        heard = list(events(stream.iter_lines()))
    assert [kind for kind, _ in heard] == ["data", "control"]


def test_bytes_are_sent_as_base64(as_arbe):
    as_arbe.put("/oak/raw", headers={"Stream-Closed": "true"}, content=b"\x00\xff")
    with as_arbe.stream("GET", "/oak/raw", params={"offset": "-1", "live": "sse"}) as stream:
        assert stream.headers["stream-sse-data-encoding"] == "base64"
        assert next(events(stream.iter_lines())) == ("data", "AP8=")


def test_pages_go_backwards_to_the_beginning(as_arbe, talk):
    say(as_arbe, talk, *"abcdefg")
    last = as_arbe.get(talk, params={"before": "now", "limit": 3})
    assert [event["payload"]["text"] for event in last.json()] == ["e", "f", "g"]
    assert last.headers["stream-next-offset"] == last.json()[-1]["seq"]
    middle = as_arbe.get(talk, params={"before": last.headers["stream-prev-offset"], "limit": 3})
    assert [event["payload"]["text"] for event in middle.json()] == ["b", "c", "d"]
    assert middle.json()[-1]["seq"] == last.headers["stream-prev-offset"]
    first = as_arbe.get(talk, params={"before": middle.headers["stream-prev-offset"], "limit": 3})
    assert [event["payload"]["text"] for event in first.json()] == ["a"]
    assert "stream-prev-offset" not in first.headers
    for bad in ({"before": "x"}, {"before": "now", "limit": "0"}, {"before": "now", "limit": "a"}):
        assert as_arbe.get(talk, params=bad).status_code == 400


def test_an_envelope_says_who_said_what_when_and_where_to_read_on(as_arbe, as_ada, talk):
    say(as_ada, talk, "one", "twö")
    event, second = as_ada.get(talk).json()
    assert event | {"seq": 0, "ts": 0} == {
        "seq": 0,
        "stream_id": "talk",
        "author_agent_id": "ada",
        "type": "message",
        "payload": {"text": "one"},
        "ts": 0,
    }
    assert event["ts"].endswith("Z")
    assert len(event["ts"]) == 24
    assert as_ada.get(talk, params={"offset": event["seq"]}).json() == [second]
    assert as_ada.get(talk, params={"offset": second["seq"]}).json() == []
    given = {"type": "command_started", "payload": {}, "author_agent_id": "bo", "ts": "2024-01-01T00:00:00.000Z"}
    as_arbe.post(talk, json=given)
    last = as_arbe.get(talk, params={"before": "now", "limit": 1}).json()[0]
    assert {name: last[name] for name in given} == given


CONTROL = (
    "signal.sandbox.created",
    "signal.x",
    "agent_spawn",
    "sandbox_resumed",
    "pi.text",
    "command_output",
    "thread_closed",
    "make_planned",
    "artifact_made",
)


def test_control_kinds_are_not_taken_from_outside(as_arbe, as_ada, talk):
    for kind in CONTROL:
        refused = as_ada.post(talk, json=[{"type": "message", "payload": {"text": "x"}}, {"type": kind, "payload": {}}])
        assert (refused.status_code, refused.json()["code"]) == (403, "control_kind"), kind
    assert as_ada.get(talk).json() == []
    assert [as_arbe.post(talk, json={"type": kind, "payload": {}}).status_code for kind in CONTROL] == [204] * 9


CLAIMS = (
    {"type": "message", "payload": {}, "author_agent_id": "bo"},
    {"type": "message", "payload": {}, "ts": "now"},
    {"type": "message", "payload": {}, "seq": "1"},
    {"type": "message", "payload": "text"},
    {"type": "Message", "payload": {}},
    {"type": "words", "payload": {}},
    {"type": "", "payload": {}},
    {"type": "a\n.b", "payload": {}},
    {"type": 3, "payload": {}},
    {"payload": {}},
    "text",
    None,
)


def test_from_outside_only_messages_and_custom_kinds_without_any_claims(as_ada, talk):
    for event in CLAIMS:
        assert as_ada.post(talk, content=json.dumps(event), headers=JSON).status_code == 400, event
    assert as_ada.post(talk, json={"type": "deploy.done", "payload": {}}).status_code == 204


def test_next_door_there_is_nothing_to_see(living, as_arbe, as_ada, talk):
    with living.http("cy") as cy, living.http("nobody") as nobody:
        assert [cy.get(talk).status_code, say(cy, talk, "hello").status_code, cy.head(talk).status_code] == [404] * 3
        assert nobody.get(talk).json()["code"] == "not_signed_in"
        assert cy.get("/lone").status_code == 404
    refusals = [as_ada.put("/oak/mine", headers=JSON), as_ada.delete(talk)]
    assert [refused.json()["code"] for refused in refusals] == ["not_allowed"] * 2
    assert as_ada.get(talk).json() == []


def test_who_is_shown_the_door_hears_nothing_more(living, as_ada, talk):
    with as_ada.stream("GET", talk, params={"offset": "-1", "live": "sse"}) as stream:
        heard = events(stream.iter_lines())
        next(heard)
        living.door.out.add("ada")
        assert list(heard) == []  # it ends: the door is asked again while a tail lives
    living.door.out.clear()
    later(0.1, lambda: living.door.out.add("ada"))
    assert as_ada.get(talk, params={"offset": "now", "live": "long-poll"}).json()["code"] == "revoked"


def test_the_bell_says_how_far_and_a_broken_one_breaks_nothing(living, as_arbe, talk):
    upto = say(as_arbe, talk, "one").headers["stream-next-offset"]
    as_arbe.put("/oak/broken-bell", headers=JSON)
    assert [add(as_arbe, "/oak/broken-bell", b"1").status_code for _ in range(2)] == [204, 204]
    assert ("oak", "talk", upto) in living.rings
    assert living.rings[-1] == ("oak", "broken-bell", as_arbe.head("/oak/broken-bell").headers["stream-next-offset"])


def test_a_message_from_outside_is_a_text(as_ada, talk):
    for payload in ({}, {"text": 7}, {"text": " "}, {"text": "a", "html": "b"}):
        assert as_ada.post(talk, json={"type": "message", "payload": payload}).status_code == 400


def test_a_member_neither_closes_a_stream_nor_writes_as_arbe(as_arbe, as_ada, talk):
    as_producer = {"Producer-Id": "outbox", "Producer-Epoch": "9", "Producer-Seq": "0"}
    for headers in ({"Stream-Closed": "true"}, {"Stream-Seq": "a"}):
        assert as_ada.post(talk, json=MESSAGE, headers=headers).status_code == 403
    assert as_ada.post(talk, json=MESSAGE, headers=as_producer).status_code == 200
    assert as_arbe.post(talk, json=MESSAGE, headers=as_producer | {"Producer-Epoch": "0"}).status_code == 200


MESSAGE = {"type": "message", "payload": {"text": "x"}}

"""Read links: one stream, for whoever has the address, until it ends; nothing else, and for nobody else."""

import inspect
import json
import logging
import re
import time
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from arbe import up
from houses.giving import give
from houses.models import Agent, Member, Token
from houses.tenancy import inside
from streams.links import LONGEST, Link, comes_with, read
from streams.refusals import Refusal
from streams.serving import alone
from tests.streams.street import KEY, Street, running
from threads.models import Thread

OLD = "the key before that"
ADA = "8f1b6f0e-0000-4000-8000-000000000001"


def scope_of(address, house="oak", stream="soup", method="GET"):
    query = urlsplit(address).query.encode()
    return {"type": "http", "method": method, "house": house, "stream": stream, "query_string": query, "headers": []}


def code_of(address, keys=(KEY,), **where):
    try:
        read(scope_of(address, **where), keys)
    except Refusal as refusal:
        return f"{refusal.status} {refusal.code}"
    return "read"


def with_query(address, **changes):
    query = dict(parse_qsl(urlsplit(address).query)) | changes
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{address.partition('?')[0]}?{urlencode(kept)}"


@pytest.fixture
def link():
    return Link("oak", "soup", ADA, int(time.time()) + 60)


# What is signed


def test_a_link_says_what_it_opens_and_reads_back(link):
    address = link.address("https://arbe.example", KEY)
    assert address.startswith("https://arbe.example/v1/stream/oak/soup?by=")
    assert [name for name, _ in parse_qsl(urlsplit(address).query)] == ["by", "expires", "signature"]
    assert read(scope_of(address), [KEY]) == link
    assert read(scope_of(address + "&offset=-1&live=sse&cursor=7"), [KEY]) == link
    assert KEY not in address


def test_the_same_link_is_always_the_same_address(link):
    assert link.address("", KEY) == Link(*(getattr(link, name) for name in link.__slots__)).address("", KEY)


@pytest.mark.parametrize("stream", ["salad", "sou", "soup\n", "SOUP", ""])
def test_it_opens_no_other_stream(link, stream):
    assert code_of(link.address("", KEY), stream=stream) == "403 bad_link"


def test_it_opens_no_other_house(link):
    address = link.address("", KEY)
    assert code_of(address, house="elm") == "403 bad_link"
    # Nor do names run into each other: oa/ksoup is not oak/soup.
    assert code_of(address, house="oa", stream="ksoup") == "403 bad_link"


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "9999999999"},
        {"expires": "0"},
        {"expires": "-1"},
        {"expires": "1e9"},
        {"expires": "١٢٣٤٥٦٧٨٩٠"},
        {"expires": ""},
        {"expires": None},
        {"by": "8f1b6f0e-0000-4000-8000-000000000002"},
        {"by": ""},
        {"by": None},
        {"token": "abcdefghjkmn"},
        {"signature": ""},
        {"signature": "A" * 43},
        {"signature": "é" * 43},
        {"signature": "\0"},
    ],
    ids=str,
)
def test_whatever_is_changed_of_it_closes_it(link, change):
    assert code_of(with_query(link.address("", KEY), **change)) == "403 bad_link"


def test_every_letter_of_the_signature_counts(link):
    address = link.address("", KEY)
    start = address.index("signature=") + len("signature=")
    for at in range(start, start + 43):
        other = "A" if address[at] != "A" else "B"
        assert code_of(address[:at] + other + address[at + 1 :]) == "403 bad_link"


@pytest.mark.parametrize("name", ["by", "expires", "signature", "token"])
def test_what_is_said_twice_is_not_believed(link, name):
    address = Link(link.house, link.stream, link.by, link.expires, "abcdefghjkmn").address("", KEY)
    value = dict(parse_qsl(urlsplit(address).query))[name]
    assert code_of(address) == "read"
    assert code_of(f"{address}&{name}={value}") == "403 bad_link"


def test_the_token_of_a_link_cannot_be_left_out(link):
    address = Link(link.house, link.stream, link.by, link.expires, "abcdefghjkmn").address("", KEY)
    assert code_of(with_query(address, token=None)) == "403 bad_link"


def test_only_a_link_that_was_right_is_said_to_have_expired(link):
    past = Link("oak", "soup", ADA, int(time.time()) - 1).address("", KEY)
    assert code_of(past) == "403 expired_link"
    assert code_of(with_query(past, by="somebody")) == "403 bad_link"
    assert code_of(with_query(past, expires=str(int(time.time()) + 60))) == "403 bad_link"


def test_a_key_that_was_replaced_opens_what_it_signed_while_it_is_named(link):
    address = link.address("", OLD)
    assert code_of(address, keys=(KEY, OLD)) == "read"
    assert code_of(address, keys=(KEY,)) == "403 bad_link"
    assert code_of(link.address("", KEY), keys=(KEY, OLD)) == "read"


def test_without_a_key_nothing_is_signed_that_anybody_believes(link):
    assert code_of(link.address("", ""), keys=("",)) == code_of(link.address("", ""), keys=()) == "403 bad_link"


def test_a_socket_brings_no_link(link):
    scope = scope_of(link.address("", KEY))
    assert comes_with(scope) and not comes_with(scope | {"type": "websocket"})
    assert not comes_with(scope | {"query_string": b"offset=-1"}) and not comes_with({"type": "http"})


@pytest.mark.parametrize("query", [b"xsignature=1", b"x=signature=1", b"signatures=1", b"x=1&my-signature=2"])
def test_a_parameter_that_only_ends_like_it_is_no_link(query):
    assert not comes_with({"type": "http", "query_string": query})


@pytest.mark.parametrize("query", [b"signature=", b"signature", b"x=1&signature=2"])
def test_half_a_link_is_one_that_is_refused(query):
    assert comes_with({"type": "http", "query_string": query})


# At the door, on a real server


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="Weather")


class Open(Street):
    """A stream of ten messages on it, which is that of a thread."""

    def __init__(self, url, thread):
        super().__init__(url, thread.house_id)
        self.thread, self.path = thread, self.at(thread.stream_id)
        self.arbe.put(self.path, headers={"Arbe-Envelope": "true"}).raise_for_status()
        self.say(*"0123456789")

    def say(self, *texts):
        events = [{"type": "message", "payload": {"text": text}} for text in texts]
        self.arbe.post(self.path, json=events).raise_for_status()

    def link(self, by, life=60, **more):
        thread = self.thread
        return Link(thread.house_id, thread.stream_id, str(by.pk), int(time.time()) + life, **more).address(
            self.url, KEY
        )

    def get(self, address, method="GET", **how):
        return self.anybody.request(method, address, **how)


@pytest.fixture
def street(committed, thread, tmp_path, monkeypatch, settings):
    settings.STREAMS_KEY = KEY
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    with running(tmp_path / "streams") as url:
        street = Open(url, thread)
        yield street
        street.close()


def texts(answer):
    return "".join(event["payload"]["text"] for event in answer.json())


def refusal(answer):
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["detail"].endswith(".")
    return answer.status_code, answer.json()["code"]


def test_whoever_has_it_reads_in_every_way_there_is(street, ada):
    link = street.link(ada)
    whole = street.get(link)
    assert whole.status_code == 200 and texts(whole) == "0123456789"
    assert street.get(link, "HEAD").headers["stream-next-offset"] == whole.headers["stream-next-offset"]
    assert texts(street.get(link + "&offset=-1&limit=3")) == "012"
    assert texts(street.get(link + "&before=now&limit=2")) == "89"
    assert texts(street.get(link + "&offset=-1&live=long-poll")) == "0123456789"
    with street.anybody.stream("GET", link + "&offset=-1&live=sse") as tail:
        assert next(tail.iter_lines()) == "event: data"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nobody_writes_with_it_not_even_arbe(street, ada, method):
    link = street.link(ada)
    sent = {"json": {"type": "message", "payload": {"text": "x"}}, "headers": {"Authorization": f"Bearer {KEY}"}}
    for how in ({}, sent):
        assert refusal(street.get(link, method, **how)) == (403, "only_reads")
    assert texts(street.get(link)) == "0123456789"


def test_beside_a_link_neither_cookie_nor_token_counts(street, ada):
    """Its answers may be kept for whoever has it: so they have to be the same for everybody."""
    client = Client()
    client.force_login(ada)
    headers = {"Cookie": f"arbe_session={client.cookies['arbe_session'].value}", "Authorization": f"Bearer {KEY}"}
    bad = with_query(street.link(ada), signature="A" * 43)
    assert refusal(street.get(bad, headers=headers)) == (403, "bad_link")
    assert street.get(street.path, headers=headers).status_code == 200
    assert "set-cookie" not in street.get(street.link(ada), headers=headers).headers


def test_a_wrong_link_answers_alike_whether_there_is_such_a_stream_or_not(street, ada, oak, elm):
    query = urlsplit(with_query(street.link(ada), signature="A" * 43)).query
    places = [
        street.path,
        f"/v1/stream/{oak.pk}/nowhere",
        f"/v1/stream/{elm.pk}/x",
        "/v1/stream/nowhere/x",
        "/v1/stream/x",
    ]
    answers = [street.get(f"{place}?{query}") for place in places]
    assert {(answer.status_code, answer.text) for answer in answers} == {(403, answers[0].text)}
    assert {refusal(answer) for answer in answers} == {(403, "bad_link")}


def test_an_expired_link_says_so(street, ada):
    assert refusal(street.get(street.link(ada, life=-1))) == (403, "expired_link")


def test_pages_of_the_past_may_be_kept_by_anybody_but_not_beyond_the_link(street, ada):
    def kept(life, query="&offset=-1&limit=3"):
        told = street.get(street.link(ada, life) + query).headers["cache-control"]
        found = re.fullmatch(r"public, max-age=(\d+), stale-while-revalidate=(\d+)", told)
        return tuple(int(one) for one in found.groups()) if found else told

    assert kept(3600) == (60, 300)
    fresh, stale = kept(200)
    assert fresh == 60 and 120 <= stale <= 139
    fresh, stale = kept(20)
    assert 10 <= fresh < 20 and stale == 0
    assert kept(3600, "&offset=-1") == "public, no-cache"  # it ends at the tail, which grows
    assert kept(3600, "&offset=now") == kept(3600, "&before=now") == "no-store"
    private = street.arbe.get(street.path + "?offset=-1&limit=3").headers
    assert private["cache-control"] == "private, max-age=60, stale-while-revalidate=300"


def test_a_page_that_one_has_is_not_sent_again(street, ada):
    link = street.link(ada)
    tag = street.get(link).headers["etag"]
    assert street.get(link, headers={"If-None-Match": tag}).status_code == 304


def test_a_page_of_anywhere_reads_it_and_only_it(street, ada):
    for address in (street.link(ada), street.link(ada) + "&offset=-1&live=long-poll", street.link(ada, life=-1)):
        headers = street.get(address, headers={"Origin": "https://elsewhere.example"}).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers.get_list("cross-origin-resource-policy") == ["cross-origin"]
        assert "stream-next-offset" in headers["access-control-expose-headers"]
        assert (headers["referrer-policy"], headers["x-robots-tag"]) == ("no-referrer", "noindex")
        assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-credentials" not in headers
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Headers": "if-none-match"}
    assert street.get(street.link(ada), "OPTIONS", headers=asked).headers["access-control-allow-origin"] == "*"
    for plain in (street.arbe.get(street.path), street.get(street.path), street.get(street.path, "OPTIONS")):
        assert "access-control-allow-origin" not in plain.headers
        assert plain.headers["cross-origin-resource-policy"] == "same-origin"


# As long as its maker may


def leave(street, ada, bo):
    with inside(street.thread.house_id, ada):
        Member.objects.of(bo).leave(by=ada)


def shut_out_of_the_thread(street, ada, bo):
    with inside(street.thread.house_id, ada):
        give(bo, street.thread, "none", by=ada)


def shut_out_of_arbe(street, ada, bo):
    Agent.objects.filter(pk=bo.pk).update(is_active=False)


@pytest.mark.parametrize("lose", [leave, shut_out_of_the_thread, shut_out_of_arbe])
def test_whoever_may_not_read_any_more_their_links_and_tails_end_within_a_moment(street, ada, bo, lose):
    link = street.link(bo)
    assert street.get(link).status_code == 200
    with street.anybody.stream("GET", link + "&offset=now&live=sse") as tail:
        lines = tail.iter_lines()
        assert next(lines) == "event: control"
        lose(street, ada, bo)
        began = time.monotonic()
        list(lines)
        assert time.monotonic() - began < 2.5
    time.sleep(1)
    assert refusal(street.get(link)) == (403, "ended_link")


def test_what_bo_loses_is_nothing_to_adas_link(street, ada, bo):
    leave(street, ada, bo)
    assert texts(street.get(street.link(ada))) == "0123456789"


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_a_tail_ends_with_the_link_it_came_by(street, ada, live):
    link = street.link(ada, life=2)
    ends = int(dict(parse_qsl(urlsplit(link).query))["expires"])
    answer = street.get(link + f"&offset=now&live={live}")
    assert -0.1 < time.time() - ends < 2
    assert answer.status_code == (200 if live == "sse" else 403)
    street.say("secret")
    assert "secret" not in answer.text and refusal(street.get(link)) == (403, "expired_link")


def test_a_link_that_a_token_asked_for_ends_with_the_token(street, oak, ada):
    with inside(oak, ada):
        token, _ = Token.objects.mint(ada, "for a link", by=ada)
    link = street.link(ada, token=token.pk)
    assert street.get(link).status_code == 200
    with inside(oak, ada):
        token.revoke(by=ada)
    time.sleep(1.1)
    assert refusal(street.get(link)) == (403, "ended_link")
    assert street.get(street.link(ada)).status_code == 200


def test_a_link_in_the_name_of_somebody_elses_token_shows_nothing(street, oak, ada, bo):
    with inside(oak, bo):
        token, _ = Token.objects.mint(bo, "for a link", by=bo, expires_at=timezone.now() + timedelta(days=1))
    assert refusal(street.get(street.link(ada, token=token.pk))) == (403, "ended_link")


def test_what_opens_a_stream_is_in_no_log_and_no_answer(street, ada, bo, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # what this client asks for is its own affair
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    links = [street.link(ada), street.link(bo, life=-1), with_query(street.link(ada), by="x")]
    said = ""
    for link in links:
        for query in ("", "&offset=nonsense", "&live=nonsense&offset=-1", "&offset=-1&live=long-poll"):
            answer = street.get(link + query)
            said += json.dumps([*answer.headers.items()]) + answer.text
    # pytest listens to every logger, also to the one that is switched off.
    logged = "".join(str(record.__dict__) for record in caplog.records if record.name != "uvicorn.access")
    for link in links:
        signature = dict(parse_qsl(urlsplit(link).query))["signature"]
        assert signature not in said and signature not in logged


def test_no_server_of_ours_writes_addresses_down():
    assert '"--no-access-log"' in inspect.getsource(up)
    assert alone.server("nowhere").config.access_log is False


def test_a_link_lives_for_a_month_at_the_most():
    assert timedelta(seconds=LONGEST) == timedelta(days=30)

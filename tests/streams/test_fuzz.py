"""Whatever is sent, in every header and parameter that the server reads: it answers, and never with a 500."""

import socket

import pytest
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from houses.models import Token
from houses.tenancy import inside
from tests.streams.street import KEY, Street, running

HEADERS = [
    "Content-Type",
    "Content-Length",
    "Stream-TTL",
    "Stream-Expires-At",
    "Stream-Closed",
    "Stream-Seq",
    "Producer-Id",
    "Producer-Epoch",
    "Producer-Seq",
    "Stream-Forked-From",
    "Stream-Fork-Offset",
    "Stream-Fork-Sub-Offset",
    "If-None-Match",
    "If-Match",
    "Arbe-Envelope",
    "Arbe-Retain",
    "Authorization",
    "Cookie",
    "Host",
]
PARAMETERS = ["offset", "live", "cursor", "before", "limit", "expires", "by", "signature", "token", "key", "x"]
PLAUSIBLE = [
    "",
    "0",
    "-1",
    "now",
    "true",
    "TRUE",
    "1" * 400,
    "9007199254740991",
    "9007199254740992",
    "0000000000000000_0000000000000000",
    "0000000000000001_0000000000000001",
    "9999999999999999_9999999999999999",
    '"0000000000000001_0000000000000001"',
    "2030-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999-23:59",
    "2030-02-30T00:00:00Z",
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "long-poll",
    "sse",
    "/v1/stream/fuzz/a",
    "/v1/stream/fuzz/b",
    "/v1/stream/",
    "/v1/stream/../../etc/passwd",
    "/v1/stream/%00",
    "*",
    "é",
    "\u0663",
    "Bearer ",
    "Bearer arbe_x_y",
    "arbe_session=" + "a" * 32,
    'arbe_session="' + "\\a" * 40,
    "=;=; ;arbe_session",
    "8f1b6f0e-0000-4000-8000-000000000001",
    "A" * 43,
]
# What a header may hold on the wire, in Latin-1; anything else no HTTP parser lets through.
TEXTS = st.sampled_from(PLAUSIBLE) | st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
)
BODIES = st.sampled_from(
    [b"", b"[]", b"1", b'{"type":"message","payload":{"text":"x"}}', b"[1,[2]]", b"[" * 2000, b"\xff"]
)
PATHS = st.sampled_from(
    ["fuzz/a", "fuzz/b", "fuzz/c", "fuzz/%00", "fuzz/%ff", "a", "a/b/c", "__ds/subscriptions/x", "%2e%2e/x"]
)


@hypothesis_settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"]),
    path=PATHS,
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), TEXTS), max_size=4),
    headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS, max_size=5),
    body=BODIES,
)
def test_no_request_is_too_strange_for_an_answer(stream_server, method, path, query, headers, body):
    assert 200 <= status(stream_server.port, method, path, query, headers, body) < 500


@pytest.fixture
def behind_a_door(committed, oak, ada, tmp_path, monkeypatch, settings):
    """A server whose door is arbe's own; a stream of Oak's; and what opens the door, for Ada and for arbe itself."""
    settings.STREAMS_KEY = KEY
    monkeypatch.setitem(connections["default"].settings_dict, "CONN_MAX_AGE", 0)
    browser = Client()
    browser.force_login(ada)
    with inside(oak, ada):
        token = Token.objects.mint(ada, "for a test", by=ada)[1]
    with running(tmp_path / "streams") as url:
        street = Street(url, oak.pk)
        street.holding(token).put(street.at("raw.a"), headers={"Content-Type": "application/json"}).raise_for_status()
        cookie = f"arbe_session={browser.cookies['arbe_session'].value}"
        keys = [{}, {"Authorization": f"Bearer {token}"}, {"Cookie": cookie}, {"Authorization": f"Bearer {KEY}"}]
        yield int(url.rpartition(":")[2]), oak.pk, keys
        street.close()


@hypothesis_settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    who=st.integers(0, 3),
    method=st.sampled_from(["GET", "GET", "PUT", "POST", "HEAD", "DELETE"]),
    name=st.sampled_from(["raw.a", "raw.b", "raw.%00", "x", "__ds/subscriptions/x", "%2e%2e/x"]),
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), TEXTS), max_size=5),
    headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS, max_size=4),
    body=BODIES,
)
def test_nor_is_any_too_strange_for_the_door(behind_a_door, who, method, name, query, headers, body):
    port, house, keys = behind_a_door
    follows = {"live"}  # which takes seconds, and the open server is asked for it
    query = [one for one in query if one[0] not in follows]
    assert 200 <= status(port, method, f"{house}/{name}", query, headers | keys[who], body) < 500


def status(port, method, path, query, headers, body):
    """Of the answer to a request written by hand, as no client library would send it."""
    lines = {"Host": "x", "Content-Length": str(len(body))} | headers
    asked = "&".join(f"{name}={quoted(value)}" for name, value in query)
    head = f"{method} /v1/stream/{path}?{asked} HTTP/1.1\r\n" + "".join(
        f"{name}: {value.encode('utf-8').decode('latin-1')}\r\n" for name, value in lines.items()
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.encode("latin-1") + b"Connection: close\r\n\r\n" + body)
        if "Content-Length" in headers:
            connection.shutdown(socket.SHUT_WR)  # it may have announced more than comes
        answer = connection.recv(200)
    if not answer and "Content-Length" in headers:
        return 400  # hung up on: more was announced than came
    return int(answer.split(b" ", 2)[1])


def quoted(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())

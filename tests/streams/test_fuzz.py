"""Whatever is sent, in every header and parameter that the server reads: it answers, and never with a 500."""

import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
PARAMETERS = ["offset", "live", "cursor", "before", "limit", "expires", "by", "signature", "key", "x"]
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


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"]),
    path=PATHS,
    query=st.lists(st.tuples(st.sampled_from(PARAMETERS), TEXTS), max_size=4),
    headers=st.dictionaries(st.sampled_from(HEADERS), TEXTS, max_size=5),
    body=BODIES,
)
def test_no_request_is_too_strange_for_an_answer(stream_server, method, path, query, headers, body):
    assert 200 <= status(stream_server.port, method, path, query, headers, body) < 500


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

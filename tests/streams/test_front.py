"""The front speaks HTTP/1.1 to whatever client comes, and ASGI to the application."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from arbe.ports import free_port
from streams.serving.front import MOST_HEAD, Front

SAID = {}


async def app(scope, receive, send):
    """Does what the path says."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    SAID["scope"] = scope
    await PATHS[scope["path"]](scope, receive, send)


async def echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def parts(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"one", b"", b"three"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def nothing(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body"})


async def follow(scope, receive, send):
    """Until the client goes: what is watched for is told."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here", "more_body": True})
    SAID["left"] = (await receive())["type"]


async def slow(scope, receive, send):
    await asyncio.sleep(0.1)
    await echo(scope, receive, send)


async def broken(scope, receive, send):
    raise ValueError("a bug")


async def torn(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"four"})


async def forged(scope, receive, send):
    headers = [(b"content-length", b"0"), (b"x", scope["query_string"].replace(b"+", b"\r\n"))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


PATHS = {f"/{each.__name__}": each for each in (echo, parts, nothing, follow, slow, broken, torn, forged)}
PATHS["/blank and é"] = nothing


@pytest.fixture(scope="module")
def port():
    config = uvicorn.Config(app, port=free_port(), http=Front, log_level="critical", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield config.port
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def line(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        yield line


def say(line, path, body=b"", method="POST", headers=""):
    line.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)


def hear(line):
    """The status and the headers of one answer, and what came of its body."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        got = line.recv(1)
        assert got, raw
        raw += got
    first, *lines = raw[:-4].decode().split("\r\n")
    headers = dict(each.lower().split(": ", 1) for each in lines)
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += line.recv(1 << 16)
    return int(first.split()[1]), headers, body


def rest(line):
    found = b""
    while got := line.recv(1 << 16):
        found += got
    return found


def test_requests_follow_each_other_on_one_connection(line):
    for text in (b"one", b"", b"three"):
        say(line, "/echo", text)
        status, headers, body = hear(line)
        assert (status, body) == (200, text)
        assert "date" in headers
        assert "connection" not in headers


def test_requests_sent_at_once_are_answered_in_their_order(line):
    for text in (b"one", b"two", b"three"):
        say(line, "/slow", text)
    assert [hear(line)[2] for _ in range(3)] == [b"one", b"two", b"three"]


def test_a_body_may_come_in_pieces_and_be_large(line):
    body = bytes(range(256)) * 20_000
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    line.sendall(head[:20])
    sending = threading.Thread(target=line.sendall, args=(head[20:] + body,))
    sending.start()
    assert hear(line)[2] == body
    sending.join()
    line.sendall(
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert hear(line)[2] == b"abcde"


def test_an_answer_without_a_length_goes_in_chunks(line):
    say(line, "/parts", headers="Connection: close\r\n")
    assert hear(line)[1]["transfer-encoding"] == "chunked"
    assert rest(line) == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"


def test_answers_without_a_body_have_none(line):
    say(line, "/nothing")
    status, headers, _ = hear(line)
    assert (status, headers["x"], "transfer-encoding" in headers) == (204, "y", False)
    line.sendall(b"HEAD /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    line.settimeout(0.3)
    raw = line.recv(1 << 16)
    assert b"content-length: 3" in raw
    assert raw.endswith(b"\r\n\r\n")
    with pytest.raises(TimeoutError):
        line.recv(1)


def test_the_application_is_told_what_was_asked(line):
    say(line, "/blank%20and%20%C3%A9?a=b&c", headers="X-One: 1\r\nX-Two:  two \r\n")
    assert hear(line)[0] == 204
    scope = SAID["scope"]
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/blank and é", b"a=b&c")
    assert scope["raw_path"] == b"/blank%20and%20%C3%A9"
    assert {(b"x-one", b"1"), (b"x-two", b"two")} < set(scope["headers"])


def test_a_client_that_waits_for_the_word_gets_it(line):
    line.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
    assert hear(line)[0] == 100
    line.sendall(b"ab")
    assert hear(line)[2] == b"ab"


def test_whoever_leaves_is_seen_to_leave(line):
    SAID.pop("left", None)
    say(line, "/follow")
    assert hear(line)[0] == 200
    line.close()
    until = time.monotonic() + 5
    while "left" not in SAID and time.monotonic() < until:
        time.sleep(0.01)
    assert SAID["left"] == "http.disconnect"


def test_a_bug_is_told_as_500_or_ends_the_connection(port):
    for path, begins in (("/broken", b"HTTP/1.1 500"), ("/forged?a+b", b"HTTP/1.1 500"), ("/torn", b"")):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            say(line, path)
            assert rest(line).startswith(begins)
            if not begins:
                assert rest(line) == b""


def test_what_is_no_request_is_turned_away(port):
    for bad, status in ((b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nX: " + b"x" * MOST_HEAD, b"431")):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(bad)
            assert rest(line).startswith(b"HTTP/1.1 " + status)


def test_old_clients_and_those_who_ask_are_let_go(port):
    for request in (b"GET /echo HTTP/1.0\r\n\r\n", b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(request)
            assert b"connection: close" in rest(line)


def test_a_connection_that_rests_is_closed_and_one_that_works_is_not(line):
    for _ in range(4):
        say(line, "/echo", b"x")
        assert hear(line)[2] == b"x"
        time.sleep(0.4)
    began = time.monotonic()
    assert rest(line) == b""
    assert time.monotonic() - began < 3


def test_an_upgrade_is_not_granted(line):
    line.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert hear(line)[0] == 204

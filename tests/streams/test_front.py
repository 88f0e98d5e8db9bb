"""The front speaks HTTP/1.1 to whatever client comes, and ASGI to the application."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from arbe.ports import free_port
from streams.serving.front import MOST_HEAD, Front
from tests.services import wait_for

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
    wait_for(server, thread)
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
    while left := int(headers.get("content-length", 0)) - len(body):
        body += line.recv(left)
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


UPGRADE = "Connection: Upgrade\r\nUpgrade: h2c\r\n"


def test_what_follows_an_upgrade_is_no_request(line):
    say(line, "/echo", method="GET", headers=UPGRADE)
    say(line, "/echo", b"smuggled")
    status, headers, body = hear(line)
    assert (status, headers["connection"], body) == (200, "close", b"")
    assert rest(line) == b""


@pytest.mark.parametrize("apart", [False, True])
def test_an_upgrade_with_a_body_is_refused(line, apart):
    """Whose body it is, nobody can say: the request's, or the other protocol's."""
    head = f"POST /echo HTTP/1.1\r\nHost: x\r\n{UPGRADE}Content-Length: 5\r\n\r\n".encode()
    line.sendall(head if apart else head + b"GET /")
    if apart:
        time.sleep(0.1)
        line.sendall(b"GET /")
    assert rest(line).startswith(b"HTTP/1.1 400")


CHUNKED = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"


def test_what_follows_a_body_is_no_header(line):
    line.sendall(CHUNKED + b"Authorization: Bearer x\r\nX-Late: 1\r\n\r\n")
    assert hear(line)[2] == b"abc"
    assert not {b"authorization", b"x-late"} & {name for name, _ in SAID["scope"]["headers"]}
    say(line, "/echo", b"next", headers="X-Early: 1\r\n")
    assert hear(line)[2] == b"next"
    assert (b"x-early", b"1") in SAID["scope"]["headers"]


@pytest.mark.parametrize("trailer", [b"X: " + b"x" * 1000 + b"\r\n", b"x" * 1000])
def test_what_follows_a_body_is_bounded(line, trailer):
    line.sendall(CHUNKED)
    said = threading.Event()
    threading.Thread(target=lambda: (rest(line), said.set())).start()
    for _ in range(20_000):
        if said.is_set():
            break
        line.sendall(trailer)
    assert said.wait(5)


def test_who_asked_before_nonsense_came_is_answered(line):
    say(line, "/slow", b"one")
    say(line, "/slow", b"two")
    line.sendall(b"nonsense\r\n\r\n")
    assert [hear(line)[2] for _ in range(2)] == [b"one", b"two"]
    assert rest(line).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("before", [b"", b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"])
def test_a_broken_body_is_answered_in_its_turn(line, before):
    line.sendall(before + CHUNKED[:-3] + b"nonsense\r\n")
    if before:
        assert hear(line)[2] == b"abc"
    assert rest(line).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("hosts", ["", "Host: x\r\nHost: y\r\n"])
def test_a_request_names_one_host(line, hosts):
    line.sendall(f"GET /nothing HTTP/1.1\r\n{hosts}\r\n".encode())
    assert rest(line).startswith(b"HTTP/1.1 400")


def test_an_address_may_be_a_whole_one(line):
    for target, path in (("http://oak:7/nothing?a=b", "/nothing"), ("HTTP://oak:7/blank%20and%20%C3%A9?a=b", None)):
        say(line, target, method="GET")
        assert hear(line)[0] == 204
        scope = SAID["scope"]
        assert (scope["path"], scope["query_string"]) == (path or "/blank and é", b"a=b")
        assert dict(scope["headers"])[b"host"] == b"oak:7"


def test_an_old_client_gets_no_chunks(line):
    line.sendall(b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    _, headers, _ = hear(line)
    assert "transfer-encoding" not in headers
    assert rest(line) == b"onethree"


async def too_large(scope, receive, send):
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


async def twice(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.start", "status": 404, "headers": []})


async def last(scope, receive, send):
    headers = [(b"content-length", b"0"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


async def endless(scope, receive, send):
    """More than a client takes that reads nothing."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        async with asyncio.timeout(0.3):
            while True:
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
    except TimeoutError:
        pass


PATHS |= {f"/{each.__name__}": each for each in (too_large, twice, last, endless)}


def test_who_sends_too_much_hears_it_and_is_let_go(line):
    line.sendall(b"POST /too_large HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
    time.sleep(0.1)
    line.sendall(b"x" * 1_000_000)
    status, headers, _ = hear(line)
    assert (status, headers["connection"]) == (413, "close")
    assert rest(line) == b""


def test_an_answer_begins_once(line):
    say(line, "/twice")
    hear(line)
    assert rest(line) == b"3\r\none\r\n"


def test_an_application_may_let_a_client_go(line):
    say(line, "/last")
    assert hear(line)[1]["connection"] == "close"
    assert rest(line) == b""


class Hasty(Front):
    head_time = body_time = farewell_time = 0.3


@pytest.fixture(scope="module")
def hasty():
    config = uvicorn.Config(app, port=free_port(), http=Hasty, log_level="critical", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(server, thread)
    yield server
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"POST /echo HT", b"HTTP/1.1 408"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 408"),
        (b"POST /too_large HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 413"),
        (b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 204"),
    ],
)
def test_nobody_keeps_a_connection_by_saying_nothing(hasty, said, heard):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", hasty.config.port), timeout=10) as line:
        line.sendall(said)
        answer = rest(line)
        assert answer.startswith(heard) and bool(answer) == bool(heard)
        until = time.monotonic() + 5
        while hasty.server_state.connections and time.monotonic() < until:
            time.sleep(0.01)
        assert not hasty.server_state.connections
    assert time.monotonic() - began < 2


def test_a_slow_answer_is_not_a_slow_client(hasty):
    with socket.create_connection(("127.0.0.1", hasty.config.port), timeout=10) as line:
        for _ in range(5):
            say(line, "/slow", b"x")
        time.sleep(0.6)
        assert [hear(line)[2] for _ in range(5)] == [b"x"] * 5


def test_who_takes_nothing_is_cut_off(hasty):
    with socket.create_connection(("127.0.0.1", hasty.config.port), timeout=10) as line:
        say(line, "/endless")
        until = time.monotonic() + 0.2
        while not hasty.server_state.connections and time.monotonic() < until:
            time.sleep(0.01)
        assert hasty.server_state.connections
        until = time.monotonic() + 5
        while hasty.server_state.connections and time.monotonic() < until:
            time.sleep(0.01)
        assert not hasty.server_state.connections

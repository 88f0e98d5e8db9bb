"""What passes through a door, and how: the outer end alone, without a sandbox."""

import json
import re
import shutil
import socket
import ssl
import subprocess
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread

import pytest

from houses import internet
from sandboxes import doors, relay
from sandboxes.provider import Door
from tests.sandboxes.test_provider_contract import eventually
from tests.sandboxes.upstream import Upstream, got

NONCE = "nonce"
HELLO = f"GET /{NONCE}/model/v1 HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def opened(*leading):
    """The port of a relay with these doors."""
    listener = doors.listen(0)
    port = listener.getsockname()[1]
    serving = relay.Relay(listener.detach(), NONCE, [door.order() for door in leading])
    Thread(target=serving.serve, daemon=True).start()
    return port


def asked(port, request):
    """Everything that is answered to one connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        return everything(connection)


def everything(connection):
    data = b""
    while block := connection.recv(1 << 16):
        data += block
    return data


@pytest.fixture
def upstream():
    with Upstream() as server:
        yield server


@pytest.fixture
def port(upstream):
    return opened(Door(prefix="model", url=upstream.url, headers={"X-Api-Key": "real"}, drops=("X-Secret",)))


def test_headers_are_put_in_in_the_place_of_the_commands_own(upstream, port):
    own = "x-api-key: arbe\r\nX-SECRET: a\r\nX-Kept: b\r\nProxy-Authorization: c\r\nUpgrade: h2c\r\nTE: trailers\r\n"
    said = asked(port, HELLO.replace(b"\r\n\r\n", b"\r\n" + own.encode() + b"\r\n"))
    assert said == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    headers = upstream.asked[0].headers
    assert headers["x-api-key"] == ["real"] and headers["connection"] == ["close"] and headers["x-kept"] == ["b"]
    assert not {"x-secret", "proxy-authorization", "upgrade", "te"} & headers.keys()


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /wrong/model/v1 HTTP/1.1",
        "GET /nonce/elsewhere/v1 HTTP/1.1",
        "GET / HTTP/1.1",
        "GET /nonce HTTP/1.1",
        "GET //nonce/model HTTP/1.1",
    ],
)
def test_without_the_nonce_and_a_name_there_is_no_door(upstream, port, request_line):
    assert asked(port, f"{request_line}\r\nHost: x\r\n\r\n".encode()).startswith(b"HTTP/1.1 404 ")
    assert upstream.asked == []


@pytest.mark.parametrize(
    "request_text",
    [
        "hello\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n\r\n",
        "CONNECT /nonce/model/v1 HTTP/1.1\r\n\r\n",
        "GET /nonce/model/../v1 HTTP/1.1\r\n\r\n",
        "GET /nonce/model/%2E%2e/v1 HTTP/1.1\r\n\r\n",
        "GET /nonce/model/a%2f..%2Fv1 HTTP/1.1\r\n\r\n",
        "GET /nonce/model/v1 HTTP/2.0\r\n\r\n",
        "GET /nonce/model/v1 HTTP/1.1\r\n folded: x\r\n\r\n",
        "GET /nonce/model/v1 HTTP/1.1\r\nA b: x\r\n\r\n",
        "GET /nonce/model/v1 HTTP/1.1\r\nA: x\ny: z\r\n\r\n",
        "POST /nonce/model/v1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /nonce/model/v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /nonce/model/v1 HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /nonce/model/v1 HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_what_servers_might_read_differently_is_not_passed_on(upstream, port, request_text):
    assert asked(port, request_text.encode()).startswith(b"HTTP/1.1 400 ")
    assert upstream.asked == []


def test_a_head_is_not_read_without_end(upstream, port):
    said = asked(port, b"GET /nonce/model/v1 HTTP/1.1\r\nA: " + b"x" * (1 << 17))
    assert said.startswith(b"HTTP/1.1 431 ") and upstream.asked == []


def test_a_second_request_behind_the_first_goes_nowhere(upstream, port):
    said = asked(port, HELLO + b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said.endswith(b"hi") and said.count(b"HTTP/1.1") == 1
    assert [one.path for one in upstream.asked] == ["/v1"]


def test_an_address_that_nobody_answers_at_is_a_502_with_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        free = nobody.getsockname()[1]
    said = asked(opened(Door(prefix="model", url=f"http://127.0.0.1:{free}")), HELLO)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert re.search(rf"127.0.0.1:{free} cannot be reached: .*refused", json.loads(body)["error"]["message"])


def test_a_door_to_the_public_internet_does_not_lead_to_this_machine(upstream):
    for name in ("127.0.0.1", "localhost"):
        port = opened(Door(prefix="model", url=f"http://{name}:{upstream.port}", public=True))
        said = asked(port, HELLO)
        assert said.startswith(b"HTTP/1.1 502 ") and b"nowhere that a door may lead to" in said
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("address", "anywhere", "public"),
    [
        ("93.184.215.14", True, True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True, True),
        ("127.0.0.1", True, False),
        ("10.1.2.3", True, False),
        ("::1", True, False),
        ("::ffff:10.0.0.1", True, False),
        ("fd00::1", True, False),
        ("100.64.0.1", True, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),
        ("168.63.129.16", False, False),
        ("192.0.0.192", False, False),
        ("100.100.100.200", False, False),
        ("fd00:ec2::254", False, False),
        ("fd20:ce::254", False, False),
        ("2002:a9fe:a9fe::", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("64:ff9b:1::1", False, False),
        ("2001:0:0:0:0:0:5601:5601", False, False),
        ("2002:7f00:1::", True, False),
        ("::ffff:93.184.215.14", True, False),
        ("64:ff9b::5db8:d70e", True, False),
        ("fec0::1", True, False),
        ("::7f00:1", True, False),
        ("192.0.0.1", True, False),
        ("255.255.255.255", True, False),
    ],
)
def test_where_a_door_may_lead_and_everything_else_of_arbe(address, anywhere, public):
    assert relay.allowed(address, public=False) is anywhere
    assert relay.allowed(address, public=True) is public
    found = ip_address(address.partition("%")[0])
    assert (not internet.is_closed(found), internet.is_public(found)) == (anywhere, public)


def test_relays_and_the_rest_of_arbe_judge_addresses_by_the_same_lines():
    ours, theirs = (Path(one.__file__).read_text().split('"""', 2)[2] for one in (internet, relay.internet))
    assert ours == theirs and "def is_public" in ours


ASKED = ("POST /responses", "GET /models")


@pytest.mark.parametrize("line", ["POST responses", "POST responses?beta=true", "GET models"])
def test_through_a_door_goes_what_it_is_for(upstream, line):
    port = opened(Door(prefix="model", url=f"{upstream.url}/v1", only=ASKED))
    method, _, path = line.partition(" ")
    assert asked(port, f"{method} /nonce/model/{path} HTTP/1.1\r\n\r\n".encode()).endswith(b"hi")
    assert [(one.method, one.path) for one in upstream.asked] == [(method, f"/v1/{path}")]


@pytest.mark.parametrize(
    "line",
    [
        "GET responses",
        "GET responses/resp_1",
        "DELETE files/file-1",
        "POST files",
        "POST models",
        "POST responses/",
        "POST /responses",
        "POST %72esponses",
        "post responses",
        "HEAD models",
        "GET ",
    ],
)
def test_what_else_the_key_would_open_is_refused_with_a_sentence(upstream, line):
    port = opened(Door(prefix="model", url=f"{upstream.url}/v1", headers={"X-Api-Key": "real"}, only=ASKED))
    method, _, path = line.partition(" ")
    head, _, body = asked(port, f"{method} /nonce/model/{path} HTTP/1.1\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ") and upstream.asked == []
    assert "POST /responses, GET /models, and nothing else" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nA: b", b"nonsense\r\n\r\n", b"x" * (1 << 18)])
def test_an_upstream_that_does_not_answer_is_a_502(upstream, port, answer):
    upstream.answer = answer
    assert asked(port, HELLO).startswith(b"HTTP/1.1 502 ")


def test_an_answer_arrives_piece_by_piece(upstream, port):
    heard = Event()

    def stream(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"5\r\nfirst\r\n")
        assert heard.wait(10)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    upstream.answer = stream
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(HELLO)
        data = b""
        while b"first" not in data:
            data += got(connection)
        assert b"second" not in data
        heard.set()
        assert everything(connection).endswith(b"6\r\nsecond\r\n0\r\n\r\n")


def test_what_is_said_before_the_answer_is_passed_on_too(upstream, port):
    upstream.answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhi"
    said = asked(port, HELLO)
    assert said == b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi"


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_pass_both_ways_at_once(upstream, port, chunked):
    size = 3_000_000
    upstream.answer = lambda request, connection: connection.sendall(
        b"HTTP/1.1 200 OK\r\n\r\n" + request.body[:size] + request.body[:size]
    )
    how = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % size
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"a" * size) if chunked else b"a" * size
    said = asked(port, b"POST /nonce/model/v1 HTTP/1.1\r\n" + how + body)
    assert len(said.partition(b"\r\n\r\n")[2]) == 2 * size
    assert upstream.asked[0].body == body


def test_an_answer_that_comes_before_the_request_was_read_arrives_whole():
    listener = socket.create_server(("127.0.0.1", 0))
    port = opened(Door(prefix="model", url=f"http://127.0.0.1:{listener.getsockname()[1]}"))

    def refuse():
        connection, _ = listener.accept()
        with connection:
            got(connection)
            connection.sendall(b"HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nwrong key")

    Thread(target=refuse, daemon=True).start()
    with listener, socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"POST /nonce/model/v1 HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        assert everything(connection).endswith(b"wrong key")


def test_when_the_caller_goes_the_upstream_is_let_go(upstream, port):
    began, ended = Event(), Event()

    def hang(_, connection):
        began.set()
        connection.settimeout(10)
        assert connection.recv(1) == b""
        ended.set()

    upstream.answer = hang
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(HELLO)
    assert began.wait(10)
    connection.close()
    assert ended.wait(10)


def test_many_calls_at_once_do_not_wait_for_each_other(upstream, port):
    together = []

    def all_here(_, connection):
        together.append(1)
        eventually(lambda: len(together) >= 50)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhi")

    upstream.answer = all_here
    said = []
    callers = [Thread(target=lambda: said.append(asked(port, HELLO))) for _ in range(50)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert len(said) == 50 and all(one.endswith(b"hi") for one in said)


@pytest.fixture
def certified(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate.")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=oak"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    relay.trust.cache_clear()
    yield context, certificate
    relay.trust.cache_clear()


def test_a_door_over_tls_leads_to_whom_this_machine_trusts(certified, monkeypatch):
    context, certificate = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    big = b"HTTP/1.1 200 OK\r\n\r\n" + b"b" * 1_000_000
    with Upstream(big, tls=context) as upstream:
        port = opened(Door(prefix="model", url=f"{upstream.url}/v1"))
        said = asked(port, b"POST /nonce/model/x HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"a" * 300_000)
        assert len(said.partition(b"\r\n\r\n")[2]) == 1_000_000
        assert (upstream.asked[0].path, len(upstream.asked[0].body)) == ("/v1/x", 300_000)


def test_a_door_over_tls_leads_to_nobody_else(certified):
    context, _ = certified
    with Upstream(tls=context) as upstream:
        said = asked(opened(Door(prefix="model", url=upstream.url, headers={"X-Api-Key": "real"})), HELLO)
        assert said.startswith(b"HTTP/1.1 502 ") and b"certificate" in said
        assert upstream.asked == []

"""Webhooks: which addresses may be called, where the connection goes, and that one that hangs slows nobody."""

import asyncio
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.subscriptions import webhooks
from streams.subscriptions.webhooks import Webhooks
from tests.streams.subscriptions.asking import Receiver, acked, code, hook, say, subscribe, until


def test_webhooks_that_never_answer_slow_nobody(http, hung, receiver):
    for n in range(60):
        hook(http, hung, f"hung{n}", pattern="events/*")
    hook(http, receiver, "well", pattern="events/*")
    for n in range(5):
        began = time.monotonic()
        tail = say(http, "events/a", n)
        until(lambda tail=tail: acked(http, "well") == {"events/a": tail})
        assert time.monotonic() - began < webhooks.PATIENCE / 2
    until(lambda: len(hung.calls) == 60)


async def test_those_that_failed_before_wait_for_each_other_only(hung, receiver):
    hooks = Webhooks(True)
    waiting = [
        asyncio.create_task(hooks.call(hung.url, b"{}", {}, has_failed=True)) for _ in range(webhooks.FAILING + 20)
    ]
    for _ in range(1000):
        await asyncio.sleep(0.02)
        if len(hung.calls) == webhooks.FAILING:
            break
    began = time.monotonic()
    assert (await hooks.call(receiver.url, b"{}", {}, has_failed=False)).is_done
    assert time.monotonic() - began < webhooks.PATIENCE / 2
    assert len(hung.calls) == webhooks.FAILING
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await hooks.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "http://example.com/",
        "ftp://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https://localhost/",
        "https://LOCALHOST:8443/",
        "https://a.localhost./",
        "https://127.0.0.1/",
        "https://127.1.2.3:9/",
        "https://10.1.2.3/",
        "https://172.20.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://100.100.100.200/",
        "https://169.254.169.254/latest",
        "https://168.63.129.16/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://[::1",
        "https://user:word@example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com\\@10.0.0.1/",
        "https://example.com/#part",
        "https://ex\u00e4mple.com/",
        "https://example.com/\n",
        "https://example.com/" + "x" * 2048,
        "http://localhost.example.com/",
        "http://[::2]/",
    ],
)
def test_an_address_inside_or_without_tls_is_no_webhook(long_open, url):
    refused = subscribe(long_open, "bad", type="webhook", pattern="*", webhook={"url": url})
    assert (refused.status_code, code(refused)) == (400, "WEBHOOK_URL_REJECTED")


def test_addresses_of_the_internet_are_webhooks_and_so_is_this_machine_where_all_is_open(http):
    for n, url in enumerate(
        (
            "https://example.com/hook?a=b",
            "https://example.com:8443",
            "https://93.184.216.34/",
            "https://[2606:2800:220:1:248:1893:25c8:1946]/",
            "http://localhost:1/",
            "http://127.0.0.9/",
            "http://[::1]:80/x",
        )
    ):
        assert subscribe(http, f"good{n}", type="webhook", pattern="*", webhook={"url": url}).status_code == 201


@pytest.fixture
def certified(tmp_path):
    """A webhook over TLS that shows a certificate for hooks.example, and who vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "hooks.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(file)
    receiver = Receiver()
    receiver.server.socket = own.wrap_socket(receiver.server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.url = f"https://hooks.example:{receiver.server.server_port}/hook"
    yield receiver, ssl.create_default_context(cafile=str(file))
    receiver.stop()


async def test_the_connection_goes_to_the_address_that_was_looked_at_and_proves_the_name(certified):
    receiver, trust = certified

    async def resolve(host, port):
        return ["127.0.0.1"]

    hooks = Webhooks(False, resolve, trust, may_call=lambda address: True)
    answered = await hooks.call(receiver.url, b"{}", {}, has_failed=False)
    assert (answered.is_taken, answered.is_done) == (True, True), answered.why
    assert receiver.calls[0][2]["Host"] == receiver.url.split("/")[2]
    other = await hooks.call(receiver.url.replace("hooks.", "other."), b"{}", {}, has_failed=False)
    assert not other.is_taken
    assert "certificate" in other.why.lower()
    await hooks.close()
    stranger = Webhooks(False, resolve, may_call=lambda address: True)
    assert not (await stranger.call(receiver.url, b"{}", {}, has_failed=False)).is_taken
    await stranger.close()
    assert len(receiver.calls) == 1


async def test_a_name_that_turns_inside_between_two_calls_gets_nothing(certified):
    receiver, trust = certified
    inside = [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], []]
    looked = []

    async def resolve(host, port):
        looked.append(host)
        return inside[len(looked) - 1]

    hooks = Webhooks(False, resolve, trust)
    for _ in inside:
        answered = await hooks.call(receiver.url, b"{}", {}, has_failed=False)
        assert not answered.is_taken
        assert "private network" in answered.why or "no address" in answered.why
    await hooks.close()
    assert looked == ["hooks.example"] * len(inside)
    assert receiver.calls == []


async def test_numbers_in_disguise_and_names_of_this_machine_are_seen_through(receiver):
    hooks = Webhooks(False)
    port = receiver.server.server_port
    for host in ("2130706433", "0x7f.1", "127.1", "0177.0.0.1"):
        answered = await hooks.call(f"https://{host}:{port}/", b"{}", {}, has_failed=False)
        assert not answered.is_taken
        assert "private network" in answered.why or "gaierror" in answered.why, answered.why
    await hooks.close()
    assert receiver.calls == []


def test_only_places_on_the_internet_are_public():
    public = ("1.1.1.1", "2606:4700:4700::1111")
    for text in (*public, "10.0.0.1", "::ffff:1.1.1.1", "2002:101:101::", "ff0e::1", "240.0.0.1", "fec0::1", "::"):
        assert webhooks.is_public(ip_address(text)) == (text in public), text


EXITING = """
import asyncio, socket, time
from streams.subscriptions.webhooks import LOOKUPS, Webhooks

looked = []

def hangs(*args, **how):
    looked.append(args)
    time.sleep(60)

socket.getaddrinfo = hangs  # as with a resolver that does not answer

async def main():
    hooks = Webhooks(False)
    calls = [asyncio.create_task(hooks.call(f"https://{n}.example/", b"", {}, has_failed=False)) for n in range(9)]
    while len(looked) < LOOKUPS:
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    again = asyncio.create_task(hooks.call("https://more.example/", b"", {}, has_failed=False))
    await asyncio.sleep(0.1)
    again.cancel()
    assert len(looked) == LOOKUPS, "those that hang keep their places"
    await hooks.close()

asyncio.run(main())
print("over")
"""


def test_a_name_that_nobody_answers_for_does_not_hold_up_the_end():
    command = [sys.executable, "-c", EXITING]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[3], check=False, capture_output=True, text=True, timeout=40
    )
    assert (ended.returncode, ended.stdout) == (0, "over\n"), ended.stderr


async def test_names_are_looked_up_as_the_machine_knows_them():
    lane = webhooks.Webhooks(True)._lanes[0]
    assert set(await lane.resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    for unknown in ("nobody.invalid", "a" * 64 + ".invalid"):
        with pytest.raises((OSError, UnicodeError)):
            await lane.resolve(unknown, 80)

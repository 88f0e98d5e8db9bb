"""`manage.py streams`: the stream server in a process of its own, for an installation or for everybody here."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from django.core.management import CommandError, call_command

from arbe.ports import free_port
from arbe.up import CHECKOUT, MANAGE
from houses.models import Token
from houses.tenancy import inside
from streams.storage.store import Store
from threads.models import Thread

KEY = "k" * 40


def refusal(**options):
    with pytest.raises(CommandError) as refused:
        call_command("streams", **options)
    return str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "arbe.example"])  # whatever is not this machine
def test_nobody_from_outside_is_let_in_unasked(host, tmp_path):
    assert refusal(open=True, host=host, folder=tmp_path) == (
        f"With --open everybody may read and write, so not on {host}: only on loopback."
    )


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal(open=True, port=port, folder=tmp_path) == (
            f"Nobody can listen on port {port} of 127.0.0.1: Address already in use."
        )


def test_a_folder_that_is_held_is_told_in_a_sentence(tmp_path):
    store = Store(tmp_path)
    try:
        assert refusal(open=True, port=0, folder=tmp_path) == f"{tmp_path} is already held by another stream server."
    finally:
        asyncio.run(store.close())


def test_without_a_key_there_is_no_door(tmp_path, settings):
    settings.STREAMS_KEY = ""
    assert refusal(folder=tmp_path) == "ARBE_STREAMS_KEY is not set; `manage.py up` makes one."


@contextmanager
def serving(folder, *options, **given):
    """The process, and what it says when it serves."""
    env = os.environ | {"ARBE_VAR": str(folder), "PYTHONUNBUFFERED": "1"} | given
    command = [*MANAGE, "streams", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=CHECKOUT, env=env, **pipes) as process:
        try:
            yield process, process.stdout.readline().decode()
        finally:
            process.kill()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_whoever_follows_a_stream_does_not_keep_it_from_ending(tmp_path, sent):
    port = free_port()
    address = f"http://127.0.0.1:{port}/v1/stream/oak/talk"
    with serving(tmp_path, "--open", "--port", str(port)) as (process, _):
        httpx.put(address, headers={"Content-Type": "application/json"}).raise_for_status()
        with httpx.stream("GET", address, params={"offset": "now", "live": "sse"}, timeout=30) as following:
            lines = following.iter_lines()
            assert next(lines) == "event: control"
            began = time.monotonic()
            process.send_signal(sent)
            assert "event: data" not in list(lines)
        assert (process.wait(15), process.stdout.read()) == (0, b"")
        assert time.monotonic() - began < 4  # seconds: uvicorn alone would wait five for it


@pytest.fixture
def served(running, tmp_path):
    """Beside a web process that does not hold the streams."""
    port = free_port()
    where = f"http://127.0.0.1:{port}/v1/stream/"
    given = {"ARBE_STREAMS_KEY": KEY, "ARBE_DATABASE_URL": running.urls.app, "REDIS_URL": running.redis.url}
    with serving(tmp_path, "--port", str(port), **given) as (process, said):
        assert said == f"The streams in {tmp_path}/streams are served at {where} to whoever may read them.\n"
        yield where
        process.send_signal(signal.SIGTERM)
        assert (process.wait(15), process.stdout.read()) == (0, b"")


def test_it_admits_whom_the_web_process_would(committed, served, oak, ada, cy):
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="talk")
        _, text = Token.objects.mint(ada, "for a test", by=ada)
    address = f"{served}{oak.pk}/{thread.stream_id}"
    arbe, adas = ({"Authorization": f"Bearer {key}"} for key in (KEY, text))
    message = {"content": b'{"type": "message", "payload": {"text": "hello"}}'}
    kind = {"Content-Type": "application/json"}
    assert httpx.put(address, headers=arbe | kind | {"Arbe-Envelope": "true"}).status_code == 201
    assert httpx.post(address, headers=adas | kind, **message).status_code == 204
    (event,) = httpx.get(address, headers=adas).json()
    assert (event["author_agent_id"], event["payload"]) == (str(ada.pk), {"text": "hello"})
    for nobody in ({}, {"Authorization": f"Bearer {text}x"}):
        assert httpx.get(address, headers=nobody).status_code == 401
    assert httpx.get(f"{served}elsewhere/{thread.stream_id}", headers=adas).status_code == 404

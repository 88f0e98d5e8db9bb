"""Webhooks on loopback, which are real servers, and stream servers that let everybody in."""

import httpx
import pytest

from tests.services import StreamServer
from tests.streams.subscriptions.asking import Receiver


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def hung():
    """A webhook that takes what it is sent and never answers."""
    receiver = Receiver()
    receiver.answer = None
    yield receiver
    receiver.stop()


@pytest.fixture
def server(tmp_path):
    """A stream server that lets everybody in, and that can be started again."""
    server = StreamServer(tmp_path / "streams")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http(server):
    with httpx.Client(base_url=f"{server.url}/v1/stream", timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def long_open(tmp_path_factory):
    """A server that many questions are put to."""
    server = StreamServer(tmp_path_factory.mktemp("streams"))
    server.start()
    with httpx.Client(base_url=f"{server.url}/v1/stream", timeout=30) as http:
        yield http
    server.stop()

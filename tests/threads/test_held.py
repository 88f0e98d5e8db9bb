"""Whoever follows a row holds it for as long as they get on, and no longer; what they cannot help does not count."""

import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.utils import timezone

from houses.tenancy import inside
from streams.client import StreamError
from tests.agents.conftest import until
from threads.followed import MOST_ATTEMPTS
from threads.following.holding import STUCK, _hold


class Away(BaseHTTPRequestHandler):
    """A server that wants to be left alone for longer than anybody waits."""

    def answer(self):
        self.send_response(503)
        self.send_header("Retry-After", "3600")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_OPTIONS = do_GET = do_POST = do_PUT = answer  # noqa: N815  # the library's names

    def log_message(self, *_):
        return


@pytest.fixture
def away():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Away)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Once:
    """The time between two looks at the clock passes once."""

    def __init__(self):
        self.passed = []

    def wait(self, _):
        self.passed.append(self)
        return len(self.passed) > 1


def test_a_stream_that_is_away_uses_up_no_attempts(worker, thread, ada, streams_at, stream_server, away):
    command = worker.ask(thread, "echo hello", by=ada)
    streams_at(away)
    for _ in range(MOST_ATTEMPTS + 2):
        with pytest.raises(StreamError):
            worker.follow(command)
        worker.lapse(command)
    streams_at(stream_server.url)
    worker.follow(command)
    assert (command.status, command.attempts, worker.output(command)) == ("completed", 1, "hello\n")


def test_the_lease_is_renewed_while_files_are_kept(worker, thread, ada, machines, monkeypatch):
    command = worker.ask(thread, "echo hello > file.txt", by=ada)
    snapshot, left = machines.snapshot, []

    def slow(*args):
        worker.again(command)
        if command.started_at and not left:
            soon = timezone.now() + timedelta(seconds=1)
            with inside(thread.house_id):
                type(command).objects.filter(pk=command.pk).update(leased_until=soon)
            until(lambda: lease(worker, command) > soon, "a new lease")
            left.append(lease(worker, command))
        return snapshot(*args)

    monkeypatch.setattr(machines, "snapshot", slow)
    worker.follow(command)
    assert left and command.status == "completed"


def lease(worker, command):
    worker.again(command)
    return command.leased_until


@pytest.mark.parametrize(("seconds", "held"), [(0, False), (60, True), (STUCK + 60, False)])
def test_one_that_is_stuck_for_good_loses_it(worker, thread, ada, seconds, held):
    """And one that has just looked has renewed it by itself."""
    claimed = worker.claim(worker.ask(thread, "true", by=ada))
    claimed.looked_at = time.monotonic() - seconds
    worker.lapse(claimed)
    _hold(claimed, Once())
    assert (worker.claim(claimed) is None) is held


def test_one_that_was_overtaken_renews_nothing_and_writes_nothing(worker, thread, ada):
    first = worker.claim(worker.ask(thread, "true", by=ada))
    worker.lapse(first)
    second = worker.claim(first)
    with inside(thread.house_id):
        assert not first.renew() and second.renew()
        first.uncount()
    worker.again(first)
    assert first.attempts == 2

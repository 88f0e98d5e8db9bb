"""arbe with its streams at the upstream server, on disk: what it announces is told there, once, and pages show it."""

import pytest
from django.db import connection

from houses.tenancy import inside
from streams import outbox
from streams.client import A_PAGES, streams
from streams.models import Outbox
from tests.streams.processes import NODE_ON_DISK, running
from threads.log import reading
from threads.models import Thread


@pytest.fixture
def elsewhere(committed, streams_at, tmp_path):
    with running(NODE_ON_DISK, tmp_path) as server:
        streams_at(server.url)
        yield server


@pytest.fixture
def thread(elsewhere, oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="talk")


def say(thread, ada, *numbers):
    for number in numbers:
        with inside(thread.house_id, ada):
            Thread.objects.get(pk=thread.pk).say(f"number {number}", by=ada)


def said(thread):
    events = streams().read(thread.house_id, thread.stream_id).events
    return [event["payload"]["text"] for event in events if event["type"] == "message"]


def waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox_left_behind()")
        return cursor.fetchone()[0]


def test_what_is_said_while_the_server_dies_is_told_once_in_order(elsewhere, thread, oak, ada):
    for life in range(2):
        say(thread, ada, *range(6 * life, 6 * life + 3))
        with inside(oak):
            rows = list(Outbox.objects.order_by("position"))
        elsewhere.kill()
        say(thread, ada, *range(6 * life + 3, 6 * life + 6))
        with inside(oak):
            assert Outbox.objects.count() > len(rows)
        elsewhere.start()
        outbox.relay(oak.pk, thread.stream_id)
    assert said(thread) == [f"number {n}" for n in range(12)] and waiting() == 0


def test_a_relay_that_died_before_it_could_forget_tells_nothing_twice(elsewhere, thread, oak, ada):
    elsewhere.kill()
    say(thread, ada, 1, 2, 3)
    with inside(oak):
        rows = list(Outbox.objects.order_by("position"))
    elsewhere.start()
    outbox.relay(oak.pk, thread.stream_id)
    with inside(oak):
        Outbox.objects.bulk_create(rows)
    say(thread, ada, 4)
    assert said(thread) == [f"number {n}" for n in (1, 2, 3, 4)]


def test_a_log_is_looked_up_where_a_link_points_and_read_on_in_both_directions(thread, oak, ada):
    say(thread, ada, *range(reading.AT_ONCE + 20))
    with inside(oak, ada):
        last = reading.around(thread, None, ada)
        assert f"number {reading.AT_ONCE + 19}" in last.html and "number 3<" not in last.html
        first = reading.before(thread, last.earlier, ada)
        assert "number 3<" in first.html and first.earlier is None
        event = streams(A_PAGES).read(oak.pk, thread.stream_id, limit=5).events[-1]
        linked = reading.around(thread, event["seq"], ada)
        assert f'id="e-{event["seq"]}"' in linked.html and "number 3<" in linked.html and "number 5<" in linked.html
    assert streams(A_PAGES).read(oak.pk, thread.stream_id, last.last_seq).events == []

"""Rows first, then the stream: exactly once, in order, whatever dies in between."""

import logging
import threading
from dataclasses import dataclass

import pytest
from django.db import connection, transaction

from houses.refusals import TooLarge
from houses.tenancy import inside
from streams import outbox
from streams.client import StreamError, streams
from streams.events import CATALOGUE, Event
from streams.models import Outbox, Stream
from tests.services import StreamServer


@dataclass(frozen=True, kw_only=True)
class Counted(Event, kind="test.counted"):
    """Something countable happened."""

    n: int | str


del CATALOGUE["test.counted"]  # it happens in tests alone


@dataclass(frozen=True)
class Log:
    """Anything with a stream of its own."""

    house_id: str
    stream_id: str


@pytest.fixture
def log(told, oak):
    with inside(oak):
        return Log(oak.pk, outbox.open_stream(oak.pk))


@pytest.fixture
def count(log, ada):
    """Announce some numbers, each in a transaction of its own."""

    def counted(*numbers, subject=log, by=ada):
        for n in numbers:
            with inside(subject.house_id):
                outbox.announce(subject, Counted(n=n), by=by)

    return counted


@pytest.fixture
def offline(streams_at, tmp_path):
    """The stream server is not there yet; `offline.start()` brings it."""
    server = StreamServer(tmp_path)
    streams_at(server.url)
    yield server
    server.stop()


def numbers(events):
    return [event["payload"]["n"] for event in events]


def waiting(house):
    with inside(house):
        return list(Outbox.objects.order_by("position"))


def age(house):
    """As if it had been announced a while ago."""
    with inside(house), connection.cursor() as cursor:
        cursor.execute("UPDATE outbox SET announced_at = announced_at - interval '5 seconds'")


def test_nothing_is_told_before_the_commit(told, log, oak, ada):
    with inside(oak):
        outbox.announce(log, Counted(n=1), by=ada)
        assert Outbox.objects.count() == 1
        with pytest.raises(StreamError):
            told(log)
    assert numbers(told(log)) == [1] and waiting(oak) == []


def test_what_is_rolled_back_is_never_told(told, log, oak, ada, count):
    with pytest.raises(ZeroDivisionError), inside(oak):
        announce_and_fail(log, ada)
    count(2)
    assert numbers(told(log)) == [2]


def test_a_block_that_is_rolled_back_takes_its_events_along(told, log, oak, ada):
    with inside(oak):
        outbox.announce(log, Counted(n=1), by=ada)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            announce_and_fail(log, ada)
        outbox.announce(log, Counted(n=3), by=ada)
    assert numbers(told(log)) == [1, 3]


def test_the_envelope_says_who_and_when(told, log, oak, ada, offline, count):
    count(1)
    (row,) = waiting(oak)
    offline.start()
    outbox.relay(oak.pk, log.stream_id)
    (event,) = told(log)
    assert (event["type"], event["author_agent_id"]) == ("test.counted", str(ada.pk))
    assert event["ts"] == row.announced_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_more_than_one_helping_is_told_in_order(told, log, oak, ada):
    many = list(range(outbox.AT_ONCE + 20))
    with inside(oak):
        for n in many:
            outbox.announce(log, Counted(n=n), by=ada)
    assert numbers(told(log)) == many and waiting(oak) == []


def test_those_who_announce_at_once_are_told_once_each_in_the_order_of_their_commits(told, log, oak, count):
    def announce(letter):
        count(*[f"{letter}{n}" for n in range(10)])
        connection.close()

    together([lambda letter=letter: announce(letter) for letter in "abcd"])
    said = numbers(told(log))
    assert len(said) == len(set(said)) == 40
    assert all([s for s in said if s[0] == letter] == [f"{letter}{n}" for n in range(10)] for letter in "abcd")


def test_two_relays_tell_it_once(told, log, oak, ada, offline):
    with inside(oak):
        for n in range(40):
            outbox.announce(log, Counted(n=n), by=ada)
    offline.start()

    def relay():
        done.append(outbox.relay(oak.pk, log.stream_id))
        connection.close()

    done = []
    together([relay, relay, relay])
    assert sum(done) == 40 and numbers(told(log)) == list(range(40))


def test_a_relay_that_died_before_it_could_forget_tells_nothing_twice(told, log, oak, count, offline):
    count(1, 2, 3)
    rows = waiting(oak)
    offline.start()
    outbox.relay(oak.pk, log.stream_id)
    with inside(oak):
        Outbox.objects.bulk_create(rows)
    count(4)
    assert numbers(told(log)) == [1, 2, 3, 4] and waiting(oak) == []


def test_a_relay_that_died_half_way_is_taken_up_where_it_was(told, log, oak, count, offline):
    count(1, 2, 3)
    rows = waiting(oak)
    offline.start()
    for row in rows[:2]:
        outbox._append(oak.pk, log.stream_id, row)
    outbox.relay(oak.pk, log.stream_id)
    assert numbers(told(log)) == [1, 2, 3]


def test_while_the_server_is_down_events_wait_and_the_sweep_brings_them(told, log, oak, count, offline, caplog):
    with caplog.at_level(logging.WARNING):
        count(1, 2)
    assert "its events wait" in caplog.text and len(waiting(oak)) == 2
    offline.start()
    age(oak)
    outbox.sweep()
    assert numbers(told(log)) == [1, 2] and waiting(oak) == []


def test_a_server_that_comes_back_goes_on_where_it_was(told, log, oak, count, offline):
    offline.start()
    count(1)
    offline.stop()
    count(2)
    offline.start()
    count(3)
    assert numbers(told(log)) == [1, 2, 3]


def test_the_sweep_looks_into_every_house(told, log, oak, elm, cy, count, offline):
    with inside(elm):
        next_door = Log(elm.pk, outbox.open_stream(elm.pk))
    count(1)
    count(2, subject=next_door, by=cy)
    offline.start()
    age(oak)
    age(elm)
    outbox.sweep()
    assert (numbers(told(log)), numbers(told(next_door))) == ([1], [2])


def test_the_sweep_does_not_try_every_stream_of_a_server_that_is_down(oak, count, offline, caplog):
    """Other sweeps would have to wait for it, and with them whoever's worker has died."""
    with inside(oak):
        logs = [Log(oak.pk, outbox.open_stream(oak.pk)) for _ in range(outbox.MOST_MISSED + 2)]
    for one in logs:
        count(1, subject=one)
    age(oak)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        outbox.sweep()
    assert caplog.text.count("its events wait") == outbox.MOST_MISSED


def test_what_was_announced_just_now_is_left_to_its_own_relay(log, oak, count, offline):
    count(1)
    offline.start()
    outbox.sweep()
    assert len(waiting(oak)) == 1


def test_a_house_that_is_stuck_does_not_hold_up_another_stream(told, log, oak, count, offline):
    with inside(oak):
        other = Log(oak.pk, outbox.open_stream(oak.pk))
    count(1)
    offline.start()
    count(2, subject=other)
    assert numbers(told(other)) == [2] and len(waiting(oak)) == 1


def test_nothing_is_announced_next_door(log, elm, ada):
    with pytest.raises(Stream.DoesNotExist), inside(elm):
        outbox.announce(log, Counted(n=1), by=ada)


def test_nothing_is_announced_outside(log, ada):
    with pytest.raises(Stream.DoesNotExist), transaction.atomic():
        outbox.announce(log, Counted(n=1), by=ada)


def test_an_event_that_the_stream_would_refuse_is_refused_before_anything_is_written(told, log, oak, ada, count):
    """One that waited for ever would hold up all that come after it."""
    for text in ("x" * (1 << 20), "\x01" * 200_000):
        with pytest.raises(TooLarge), inside(oak):
            outbox.announce(log, Counted(n=text), by=ada)
    count(1)
    assert numbers(told(log)) == [1]


def test_offsets_grow_with_the_order(told, log, count):
    count(*range(12))
    seqs = [event["seq"] for event in told(log)]
    assert seqs == sorted(set(seqs))
    assert numbers(streams().read(log.house_id, log.stream_id, seqs[4]).events) == list(range(5, 12))


def announce_and_fail(log, by):
    outbox.announce(log, Counted(n=0), by=by)
    raise ZeroDivisionError


def together(jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]

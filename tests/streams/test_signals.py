"""Signals: told after the commit, in the house's own stream, with an agent, and read no further than is quick."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from houses.refusals import Refused
from houses.tenancy import inside
from streams import signals
from streams.models import Stream
from streams.outbox import relay
from streams.plots import BUCKETS, Span, bytes_word, latency, outcomes, quantile, seconds_word, usage
from streams.signals import CommandWitnessed, FailureWitnessed, MakeWitnessed, signals_of, since, witness

FAILURE = FailureWitnessed(part="sandbox", command_id="c", thread_id="t", again=True)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("streams_at")


def made(number=1, **more):
    figures = {"make_id": "m", "thread_id": "t", "status": "completed", "seconds": number, "ran": 1, "spared": 0}
    return MakeWitnessed(**{**figures, **more})


@pytest.fixture
def heard(told, oak):
    """The signals of Oak, as its stream has them."""

    def everything():
        with inside(oak):
            return told(signals_of(oak.pk))

    return everything


def test_the_first_signal_opens_the_stream_and_the_next_finds_it(heard, oak, bo):
    witness(oak.pk, FAILURE, by=bo)
    witness(oak.pk, made(), by=bo)
    events = heard()
    assert [(one["type"], one["author_agent_id"]) for one in events] == [
        ("signal.failure", str(bo.pk)),
        ("signal.make", str(bo.pk)),
    ]
    assert events[0]["payload"] == {"part": "sandbox", "command_id": "c", "thread_id": "t", "again": True}


def test_a_house_without_signals_has_no_stream_of_them(oak, ada):
    with inside(oak, ada):
        assert oak.signals_stream_id is None and not list(signals.latest(oak))


def test_what_is_refused_leaves_no_signal_and_opens_no_stream(committed, oak, ada):
    with inside(oak, ada):
        before = Stream.objects.count()

    def refused():
        with inside(oak, ada):
            witness(oak.pk, FAILURE, by=ada)
            raise Refused("No.")

    with pytest.raises(Refused):
        refused()
    with inside(oak, ada):
        oak.refresh_from_db()
        assert oak.signals_stream_id is None and Stream.objects.count() == before


def test_a_signal_waits_for_the_commit(heard, oak, ada):
    with inside(oak, ada):
        witness(oak.pk, FAILURE, by=ada)
        oak.refresh_from_db()
        assert oak.signals_stream_id is None
    assert len(heard()) == 1


def test_a_signal_that_cannot_be_told_now_is_told_later(committed, stream_server, streams_at, oak, ada):
    streams_at("http://127.0.0.1:1")
    witness(oak.pk, FAILURE, by=ada)
    streams_at(stream_server.url)
    with inside(oak, ada):
        one = signals_of(oak.pk)
    assert relay(one.house_id, one.stream_id) == 1


def test_nobody_waits_behind_another_who_tells_a_signal(told, oak, ada, caplog):
    with inside(oak, ada):
        stream = signals_of(oak.pk).stream_id
    other = connection.copy()
    with other.cursor() as theirs:
        theirs.execute("SELECT pg_advisory_lock(hashtextextended(%s, 1))", [stream])
        with connection.cursor() as ours:
            ours.execute("SET lock_timeout = '500ms'")
        witness(oak.pk, FAILURE, by=ada)
    other.close()
    assert not caplog.records
    assert relay(oak.pk, stream) == 1  # as the sweep does


def test_kinds_and_agents_are_told_apart_and_reading_is_bounded(heard, oak, ada, bo, monkeypatch):
    for number in range(5):
        witness(oak.pk, made(number), by=ada)
    witness(oak.pk, FAILURE, by=bo)
    with inside(oak, ada):
        oak.refresh_from_db()
    whole, is_cut = since(oak, LONG_AGO, set())
    assert [one["type"] for one in whole] == ["signal.failure", *["signal.make"] * 5] and not is_cut
    assert [one["payload"]["seconds"] for one in whole[1:]] == [4, 3, 2, 1, 0]
    assert len(since(oak, LONG_AGO, {"signal.failure"})[0]) == 1
    assert len(since(oak, LONG_AGO, set(), str(ada.pk))[0]) == 5
    assert since(oak, datetime.now(UTC) + timedelta(hours=1), set()) == ([], False)
    monkeypatch.setattr(signals, "AT_ONCE", 2)
    assert [one["seq"] for one in signals.latest(oak, 5)] == [one["seq"] for one in whole[:5]]


def test_nobody_outside_writes_a_signal():
    from streams.envelope import CONTROL

    assert all(CONTROL.fullmatch(kind.kind) for kind in (CommandWitnessed, MakeWitnessed, FailureWitnessed))


def test_no_signal_has_room_for_what_somebody_wrote():
    """Its fields are ids, words of ours, and numbers."""
    words = {"command_id", "thread_id", "make_id", "status", "machine", "part"}
    for kind in (CommandWitnessed, MakeWitnessed, FailureWitnessed):
        texts = {name for name, one in kind.__dataclass_fields__.items() if "str" in str(one.type) and name != "kind"}
        assert texts <= words


# Plots

END = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = Span(END - timedelta(days=1), END)


def event(hours_ago, **payload):
    return {"ts": (END - timedelta(hours=hours_ago)).isoformat(), "type": "signal.command", "payload": payload}


def test_a_quantile_is_a_value_that_was_there():
    values = [float(number) for number in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([3.0], 0.95)) == (51.0, 96.0, 3.0)


def test_each_hour_has_its_point_of_latency():
    plot = latency([event(0.5, first_output=0.1), event(0.6, first_output=0.3), event(5.5, first_output=0.2)], DAY)
    assert len(plot.dots) == 4 and {kind for kind, *_ in plot.dots} == {"a", "b"}
    assert "12:00" not in plot.dots[0][3] and plot.words == "Half within 200 ms, 19 of 20 within 300 ms."


def test_outcomes_are_stacked_in_their_hour():
    plot = outcomes([event(1.5, status="completed"), event(1.4, status="failed"), event(1.3, status="failed")], DAY)
    done, failed = plot.bars
    assert done.x == failed.x and failed.y + failed.height == pytest.approx(done.y, abs=0.2)
    assert failed.height == pytest.approx(2 * done.height, abs=0.2)
    assert plot.words == "1 completed, 2 failed, 0 cancelled."


def test_what_lies_outside_of_the_span_is_drawn_at_its_edge():
    assert [DAY.bucket(event(hours)) for hours in (-1, 0, 23.9, 30)] == [BUCKETS - 1, BUCKETS - 1, 0, 0]


def test_used_memory_is_the_most_and_used_time_is_the_sum():
    events = [event(1.5, cpu_seconds=2, memory_bytes=3_000_000), event(1.4, cpu_seconds=1.5, memory_bytes=5_000_000)]
    assert usage(events, DAY, "cpu_seconds", "", seconds_word, peak=False).words == "3.5 s in all."
    assert usage(events, DAY, "memory_bytes", "", bytes_word, peak=True).words == "5 MB at the most."


def test_nothing_is_an_empty_plot():
    assert all(plot.is_empty for plot in (latency([], DAY), outcomes([], DAY)))

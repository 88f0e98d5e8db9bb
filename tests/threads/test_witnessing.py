"""What a command leaves as a signal when it rests: figures, and nothing that it printed."""

import pytest

from houses.models import Mutation
from houses.tenancy import inside
from streams.signals import signals_of
from threads.models import Command


@pytest.fixture
def heard(told, oak):
    def everything():
        with inside(oak):
            return told(signals_of(oak.pk))

    return everything


def test_a_command_at_rest_says_how_long_how_much_and_where(worker, thread, ada, heard):
    busy = "python3 -c 'print(sum(range(3_000_000)), len(bytearray(40_000_000)))'"
    command = worker.run(thread, busy, by=ada)
    again = worker.run(thread, "exit 3", by=ada)
    first, second = heard()
    figures = first["payload"]
    assert (first["type"], first["author_agent_id"]) == ("signal.command", str(ada.pk))
    assert (figures["command_id"], figures["thread_id"], figures["status"]) == (command.pk, thread.pk, "completed")
    assert figures["machine"] == "made" and figures["attempts"] == 1 and figures["make_id"] is None
    assert figures["first_output"] >= figures["queue"] >= 0 and figures["first_output"] > 0
    assert 0 < figures["cpu_seconds"] <= figures["seconds"] * 64
    assert 40_000_000 < figures["memory_bytes"] < 2**31
    assert figures["output_bytes"] == len("4499998500000 40000000\n")
    assert (second["payload"]["status"], second["payload"]["machine"]) == ("failed", "live")
    assert second["payload"]["first_output"] is None and second["payload"]["command_id"] == again.pk


def test_no_signal_repeats_what_was_run_or_printed(worker, thread, ada, heard):
    worker.run(thread, "echo a-word-nobody-else-says", by=ada)
    (signal,) = heard()
    assert "a-word" not in str(signal)


def test_one_that_was_stopped_before_it_began_is_told_of_by_whoever_stopped_it(worker, thread, ada, bo, heard, oak):
    command = worker.ask(thread, "echo never", by=ada)
    with inside(oak, bo):
        Command.objects.get(pk=command.pk).stop(by=bo)
    (signal,) = heard()
    assert (signal["payload"]["status"], signal["author_agent_id"]) == ("cancelled", str(bo.pk))
    assert signal["payload"]["machine"] == "" and signal["payload"]["cpu_seconds"] is None


def test_whatever_a_command_changes_is_by_whoever_asked_for_it(worker, thread, bo, oak, ada):
    with inside(oak, ada):
        before = Mutation.objects.newest_first()[0].pk
    worker.run(thread, "echo hello > file.txt", by=bo)
    with inside(oak, ada):
        since = Mutation.objects.filter(pk__gt=before)
        assert set(since.values_list("agent_id", flat=True)) == {bo.pk}
        assert {"sandboxes", "threads"} <= set(since.values_list("table_name", flat=True))


def test_a_make_is_told_of_too(worker, thread, ada, heard, repository):
    worker.run(thread, "echo hello > out.txt", by=ada)
    make = worker.make(thread, "out.txt", by=ada)
    assert ("signal.make", make.pk) in [(one["type"], one["payload"].get("make_id")) for one in heard()]

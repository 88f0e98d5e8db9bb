"""Commands as rows: asked for, claimed once, stopped, and never begun twice."""

import threading

import pytest
from django.db import connection

from houses.models import Secret
from houses.tenancy import inside
from sandboxes.models import Sandbox
from streams.models import Outbox
from threads import jobs
from threads.models import Command


@pytest.fixture
def command(oak, ada, environment, thread):
    with inside(oak, ada):
        return thread.run("true", by=ada)


def seen(oak, command):
    with inside(oak):
        command.refresh_from_db()
        return command.status


def test_asking_is_a_row_and_an_event(oak, command, environment):
    with inside(oak):
        assert (command.status, command.environment) == ("queued", environment)
        event = Outbox.objects.get(kind="command_queued")
    assert event.payload == {"command_id": command.pk, "text": "true", "make_id": None, "target": None}


def test_a_command_is_claimed_once(oak, command):
    with inside(oak):
        assert Command.objects.claim(command.pk) == command
        assert Command.objects.claim(command.pk) is None
        assert Command.objects.claim("nobody") is None


def test_two_workers_at_once_get_it_once(committed, oak, command):
    got, meet = [], threading.Barrier(4, timeout=10)

    def claim():
        meet.wait()
        with inside(oak):
            got.append(Command.objects.claim(command.pk))
        connection.close()

    workers = [threading.Thread(target=claim) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    assert [claimed for claimed in got if claimed] == [command]


def test_a_command_whose_worker_went_away_is_claimed_again(worker, oak, ada, thread):
    command = worker.ask(thread, "true", by=ada)
    worker.claim(command)
    worker.lapse(command)
    assert worker.claim(command) == command


def test_next_door_claims_nothing(elm, command):
    with inside(elm):
        assert Command.objects.claim(command.pk) is None


def test_one_that_has_not_begun_never_will(oak, ada, bo, command):
    with inside(oak, bo):
        command.stop(by=bo)
        command.stop(by=bo)
        assert Command.objects.claim(command.pk) is None
        finished = Outbox.objects.get(kind="command_finished")
    assert (command.status, command.reason) == ("cancelled", "Stopped by Bo before it began.")
    assert (finished.author, finished.payload["status"]) == (bo, "cancelled")


def test_stopping_what_is_over_does_nothing(oak, ada, command):
    with inside(oak, ada):
        command.stop(by=ada)
        before = Outbox.objects.count()
        command.stop(by=ada)
        command.thread.stop(by=ada)
        assert Outbox.objects.count() == before


def test_a_thread_stops_all_that_runs_in_it(oak, ada, thread, environment):
    with inside(oak, ada):
        commands = [thread.run("true", by=ada) for _ in range(3)]
        thread.stop(by=ada)
        assert not thread.commands.unfinished().exists() and len(commands) == 3


def test_who_stops_a_running_one_is_remembered_and_the_first_counts(oak, ada, bo, command):
    with inside(oak):
        Command.objects.claim(command.pk)
        command.stop(by=bo)
        command.stop(by=ada)
    assert (seen(oak, command), command.stop_asked_by) == ("running", bo)


def test_only_one_worker_says_where_the_next_chunk_ends(oak, command):
    with inside(oak):
        one, two = (Command.objects.get(pk=command.pk) for _ in range(2))
        Command.objects.update(status="running")
        assert one.note_chunk(10, style="", hits={})
        assert not two.note_chunk(20, style="", hits={})
        command.refresh_from_db()
    assert (command.sequence, command.poured, command.pouring) == (0, 0, 10)


def test_the_sweep_rings_for_whoever_waits(worker, running, oak, ada, thread):
    from django_rq import get_queue

    from tests.houses.furniture import sql

    queue = get_queue("commands")
    command = worker.ask(thread, "true", by=ada)
    queue.empty()
    jobs.sweep()
    assert queue.count == 0  # it was rung for a moment ago
    with inside(oak):
        sql("UPDATE commands SET created_at = created_at - interval '10 seconds'")
    jobs.sweep()
    jobs.sweep()
    (job,) = queue.jobs
    assert (job.func_name, job.args) == ("threads.jobs.drive", [oak.pk, command.pk])


def test_a_bell_that_cannot_be_rung_loses_nothing(worker, oak, ada, thread, settings, monkeypatch, caplog):
    for queue in settings.RQ_QUEUES.values():
        monkeypatch.setitem(queue, "URL", "redis://127.0.0.1:1/0")
    command = worker.ask(thread, "true", by=ada)
    assert seen(oak, command) == "queued" and "nobody could be called" in caplog.text


def test_a_secret_that_is_gone_when_it_begins_is_said(worker, oak, ada, thread, environment):
    with inside(oak, ada):
        secret = Secret.objects.put("API_KEY", "value", by=ada)
        environment.change(name="plain", config={}, secret_bindings=[{"name": "API_KEY"}], by=ada)
    command = worker.ask(thread, "true", by=ada)
    with inside(oak, ada):
        secret.forget(by=ada)
    worker.follow(command)
    assert command.status == "failed" and "requires the secret API_KEY" in command.reason
    with inside(oak):
        assert not Sandbox.objects.exists()

"""Making a target: only what went stale, in order, each step in a thread of its own, and never over somebody's work."""

import threading
import time

import pytest
from django.db import OperationalError, connection

from artifacts.paths import OutsideRepository
from artifacts.plan import UnknownTarget
from artifacts.steps import Cycle, EditedByHand
from houses.tenancy import inside
from tests.houses.furniture import sql
from threads import jobs
from threads.models import Command, Make, Thread
from threads.working import NoEnvironment

UPPER = "tr a-z A-Z < source.txt > upper.txt"
TWICE = "cat upper.txt upper.txt > twice.txt"
OTHER = "sort other.txt > count.txt"


@pytest.fixture
def write(repository, oak, ada):
    def written(path, text, by=ada):
        with inside(oak, by):
            repository.write(path, text.encode(), by=by)

    return written


@pytest.fixture
def read(repository, oak):
    def text(path):
        with inside(oak):
            return repository.read(path).decode()

    return text


@pytest.fixture
def chain(worker, thread, write, ada):
    """source → upper → twice"""
    write("source.txt", "a\n")
    for text in (UPPER, TWICE):
        assert worker.run(thread, text, by=ada).status == "completed"
    return thread


def test_nothing_changed_nothing_runs(worker, chain, ada):
    make = worker.make(chain, "twice.txt", by=ada)
    assert (make.status, worker.ran(make)) == ("completed", [])
    assert worker.payload(chain, "make_planned")["steps"] == []


def test_only_what_went_stale_is_made_again_in_order(worker, chain, write, read, ada, bo):
    write("source.txt", "b\n", by=bo)
    make = worker.make(chain, "./twice.txt", by=ada)
    assert (make.status, worker.ran(make), read("twice.txt")) == ("completed", [UPPER, TWICE], "B\nB\n")
    finished = worker.payload(chain, "make_finished")
    assert {name: finished[name] for name in ("make_id", "target", "status", "ran", "spared", "reason")} == {
        "make_id": make.pk,
        "target": "twice.txt",
        "status": "completed",
        "ran": 2,
        "spared": 0,
        "reason": "",
    }
    assert worker.ran(worker.make(chain, "twice.txt", by=ada)) == []


def test_each_step_is_a_child_thread_that_closes_at_the_end(worker, chain, write, oak, ada):
    write("source.txt", "b\n")
    make = worker.make(chain, "twice.txt", by=ada)
    with inside(oak):
        children = list(Thread.objects.filter(parent_thread=chain).order_by("created_at"))
        assert [(child.name, child.status) for child in children] == [
            ("make upper.txt", "closed"),
            ("make twice.txt", "closed"),
        ]
    told = [event["payload"]["child_thread_id"] for event in worker.events(chain, "agent_spawn")]
    assert told == [child.pk for child in children]
    assert worker.payload(children[0], "command_queued")["make_id"] == make.pk


def test_an_output_that_comes_out_the_same_spares_the_rest(worker, chain, write, ada):
    write("source.txt", "A\n")
    make = worker.make(chain, "twice.txt", by=ada)
    assert worker.ran(make) == [UPPER]
    assert (worker.payload(chain, "make_finished")["ran"], worker.payload(chain, "make_finished")["spared"]) == (1, 1)


def test_steps_that_do_not_wait_for_each_other_start_at_once(worker, chain, write, oak, ada):
    write("other.txt", "o\n")
    for text in (OTHER, "cat twice.txt count.txt > both.txt"):
        worker.run(chain, text, by=ada)
    write("source.txt", "b\n")
    write("other.txt", "oo\n")
    with inside(oak, ada):
        make = chain.make("both.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    assert {command.text for command in worker.queued()} == {UPPER, OTHER}
    assert worker.settle(make).status == "completed"
    assert worker.ran(make)[2:] == [TWICE, "cat twice.txt count.txt > both.txt"]


def test_a_step_that_fails_ends_the_make_and_says_why(worker, chain, write, read, ada):
    worker.run(
        chain, "grep -q bad source.txt && echo half > upper.txt && exit 4; sed s/$/!/ source.txt > upper.txt", by=ada
    )
    write("source.txt", "bad\n")
    make = worker.make(chain, "twice.txt", by=ada)
    assert make.status == "failed" and "upper.txt could not be made: it ended with exit code 4" in make.reason
    assert len(worker.ran(make)) == 1 and read("upper.txt") == "a!\n"


def test_a_target_edited_by_hand_is_not_overwritten(worker, chain, write, oak, ada, bo):
    write("source.txt", "b\n")
    write("twice.txt", "mine\n", by=bo)
    before = len(worker.told(chain))
    with pytest.raises(EditedByHand, match=r"`twice.txt` was edited by hand.*`\$ cat upper.txt"), inside(oak, ada):
        chain.make("twice.txt", by=ada)
    assert len(worker.told(chain)) == before and not makes(oak)


def test_an_edit_while_the_make_runs_stays(worker, chain, write, read, oak, ada, bo):
    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    worker.follow(step)
    write("twice.txt", "mine\n", by=bo)
    make = worker.settle(make)
    assert (make.status, read("twice.txt")) == ("failed", "mine\n")
    assert "edited by hand" in make.reason


def test_a_circle_is_refused_by_name(worker, thread, write, oak, ada):
    write("a", "1\n")
    for text in ("cat a > b", "cat b > c", "cat c > a; echo >> a"):
        worker.run(thread, text, by=ada)
    with pytest.raises(Cycle, match="`a` → `b` → `c` → `a`"), inside(oak, ada):
        thread.make("c", by=ada)


def test_a_target_nobody_made_is_refused_and_leaves_nothing(worker, chain, oak, ada):
    before = len(worker.told(chain))
    for target in ("nothing.txt", "source.txt", "../twice.txt", "/etc/passwd", "", "a\0b"):
        with pytest.raises((UnknownTarget, OutsideRepository)), inside(oak, ada):
            chain.make(target, by=ada)
    assert len(worker.told(chain)) == before and not makes(oak)


def test_without_an_environment_there_is_nothing_to_make_with(oak, ada, thread, environment):
    from houses.models import House

    with inside(oak, ada):
        House.objects.update(default_environment_id=None)
    with pytest.raises(NoEnvironment), inside(oak, ada):
        thread.make("x", by=ada)


def test_asking_twice_at_once_is_one_make(worker, chain, write, oak, ada, bo):
    write("source.txt", "b\n")
    with inside(oak, ada):
        first = chain.make("twice.txt", by=ada)
    with inside(oak, bo):
        assert chain.make("twice.txt", by=bo) == first
    assert len(worker.events(chain, "make_planned")) == 1
    worker.settle(first)


def test_advancing_twice_starts_a_step_once(worker, chain, write, oak, ada):
    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
    for _ in range(3):
        jobs.advance(oak.pk, make.pk)
    assert len(worker.queued()) == 1
    worker.settle(make)
    jobs.advance(oak.pk, make.pk)
    assert len(worker.events(chain, "make_finished")) == 1


def test_stopping_a_make_stops_its_steps_and_starts_no_more(worker, chain, write, oak, ada, bo):
    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    with inside(oak, bo):
        make.stop(by=bo)
        make.stop(by=bo)
    jobs.advance(oak.pk, make.pk)
    worker.again(step)
    assert (make.status, make.reason, step.status) == ("cancelled", "Stopped by Bo.", "cancelled")
    assert worker.queued() == [] and len(worker.events(chain, "make_finished")) == 1


def test_stopping_the_thread_stops_its_makes(worker, chain, write, oak, ada):
    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
        chain.stop(by=ada)
    worker.again(make)
    assert make.status == "cancelled"


BLOCKED = "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


@pytest.mark.parametrize("way", ["make", "thread"])
def test_a_stop_and_a_step_that_comes_to_rest_do_not_wait_for_each_other(worker, chain, write, oak, ada, bo, way):
    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    inline = worker.ask(chain, "true", by=ada)
    worker.claim(step)
    failed = []

    def stop():
        try:
            with inside(oak, bo):
                (make if way == "make" else chain).stop(by=bo)
        except OperationalError as error:  # one of two that wait for each other
            failed.append(error)
        finally:
            connection.close()

    stopping = threading.Thread(target=stop)
    with inside(oak):
        mine = [Command.objects.select_for_update().get(pk=row.pk) for row in (step, inline)]
        stopping.start()
        while stopping.is_alive() and not sql(BLOCKED):
            time.sleep(0.01)
        for row in mine:
            row.rest("failed")
    stopping.join()
    assert not failed
    worker.again(make)
    assert make.status == "cancelled"


def test_a_thread_without_an_environment_any_more_is_not_where_a_file_is_made_again(chain, repository, oak, ada):
    with inside(oak, ada):
        type(oak).objects.update(default_environment_id=None)
        other = Thread.objects.for_target(repository, "twice.txt", by=ada)
        assert other.pk != chain.pk and other.makes_in(repository) and not chain.makes_in(repository)


def test_whoever_heard_the_stream_knows_the_make(worker, chain, write, ada):
    write("source.txt", "b\n")
    make = worker.make(chain, "twice.txt", by=ada)
    planned, finished = (worker.payload(chain, kind) for kind in ("make_planned", "make_finished"))
    assert planned["make_id"] == finished["make_id"] == make.pk
    assert (finished["target"], finished["status"], finished["reason"]) == (make.target, make.status, make.reason)
    assert [step["command"] for step in planned["steps"]] == worker.ran(make)
    assert finished["ran"] + finished["spared"] == len(make.planned)


def test_a_step_has_its_machine_for_itself_and_leaves_it(worker, chain, write, machines, ada):
    before = machines.list()
    write("source.txt", "b\n")
    worker.make(chain, "twice.txt", by=ada)
    assert machines.list() == before


def test_the_make_whose_last_step_rang_nobody_is_rung_for(worker, chain, write, oak, ada):
    from django_rq import get_queue

    from tests.houses.furniture import sql

    write("source.txt", "b\n")
    with inside(oak, ada):
        make = chain.make("twice.txt", by=ada)
        sql("UPDATE makes SET created_at = created_at - interval '10 seconds'")
    get_queue("runs").empty()
    jobs.sweep()
    assert [(job.func_name, job.args) for job in get_queue("runs").jobs] == [
        ("threads.jobs.advance", [oak.pk, make.pk])
    ]


def makes(house):
    with inside(house):
        return Make.objects.exists()

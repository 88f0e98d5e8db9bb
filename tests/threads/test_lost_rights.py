"""Work goes on as long as whoever asked for it may have it done: asked before it starts, while it runs, at its end."""

import pytest

from houses.giving import give
from houses.models import Member, Tool
from houses.tenancy import inside
from sandboxes.models import Sandbox
from threads import jobs
from threads.models import Make, Thread

GONE = "Stopped: Bo, who asked for it, is not in this house any more."
NO_WRITER = "Stopped: Bo, who asked for it, may not write in this thread any more."


def no_tool(name):
    return f"Stopped: Bo, who asked for it, may not use the tool `{name}` any more."


@pytest.fixture
def grant(oak, ada):
    def granted(agent, scope, bits):
        with inside(oak, ada):
            give(agent, scope, bits, by=ada)

    return granted


@pytest.fixture
def lose(oak, ada, bo, thread, grant):
    """Bo loses something."""

    def lost(what):
        with inside(oak, ada):
            if what == "membership":
                Member.objects.of(bo).leave(by=ada)
            elif what == "the account":
                bo.deactivate()
            elif what == "w":
                grant(bo, thread, "r")
            else:
                grant(bo, Tool(pk=what), "none")

    return lost


LOSSES = {"membership": GONE, "the account": GONE, "w": NO_WRITER, "run_command": no_tool("run_command")}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_asked_for_is_not_begun(worker, thread, oak, bo, lose, loss):
    command = worker.ask(thread, "echo never > never.txt", by=bo)
    lose(loss)
    worker.follow(command)
    assert (command.status, command.started_at, command.reason) == ("cancelled", None, LOSSES[loss])
    assert worker.payload(command, "command_finished")["reason"] == LOSSES[loss]
    with inside(oak):
        assert not Sandbox.objects.exists()  # no machine was made for it


@pytest.mark.parametrize("loss", LOSSES)
def test_what_runs_is_stopped_and_nothing_of_it_lands(worker, thread, repository, oak, bo, lose, loss):
    command = worker.ask(thread, "echo half > half.txt; echo begun; sleep 600", by=bo)
    aside = worker.aside(command)
    worker.until(command, "begun")
    lose(loss)
    aside.join(timeout=30)
    assert not aside.is_alive()
    worker.again(command)
    assert (command.status, command.reason) == ("cancelled", LOSSES[loss])
    with inside(oak):
        assert not repository.bare.listing(repository.head, "")


def test_what_ended_just_when_the_right_was_lost_does_not_land(worker, thread, repository, oak, bo, lose):
    """Whoever follows looks every second; the right may be gone before the next look."""
    from threads.following.commands import _outcome
    from threads.following.keeping import keep
    from threads.following.starting import start

    command = worker.claim(worker.ask(thread, "echo done > done.txt", by=bo))
    start(command)
    lose("w")
    ended = None
    while ended is None:
        ended = command.sandbox.machine.poll(command.sandbox.ref, command.pk)
    assert ended.code == 0
    keep(command, ended, *_outcome(ended))
    worker.again(command)
    assert (command.status, command.reason) == ("cancelled", NO_WRITER)
    with inside(oak):
        assert not repository.bare.listing(repository.head, "")


def test_what_ended_well_after_its_stop_was_asked_for_does_not_land(worker, thread, repository, oak, bo):
    from threads.following.commands import _outcome
    from threads.following.keeping import keep
    from threads.following.starting import start

    asked = worker.ask(thread, "echo done > done.txt", by=bo)
    command = worker.claim(asked)
    start(command)
    ended = None
    while ended is None:
        ended = command.sandbox.machine.poll(command.sandbox.ref, command.pk)
    with inside(oak, bo):
        asked.stop(by=bo)
    keep(command, ended, *_outcome(ended))
    worker.again(command)
    assert (ended.code, command.status, command.reason) == (0, "cancelled", "Stopped by Bo.")
    with inside(oak):
        assert not repository.bare.listing(repository.head, "")


def test_others_go_on(worker, thread, bo, ada, lose):
    lose("w")
    assert worker.run(thread, "true", by=ada).status == "completed"


def test_who_took_a_command_over_asks_again(worker, thread, bo, lose):
    command = worker.ask(thread, "echo begun; sleep 600", by=bo)
    worker.killed(command, "Command.note_start", "return")
    lose("w")
    worker.follow(command)
    assert (command.status, command.reason) == ("cancelled", NO_WRITER)


@pytest.fixture
def chain(worker, thread, repository, oak, ada):
    """source → upper"""
    with inside(oak, ada):
        repository.write("source.txt", b"a\n", by=ada)
    worker.run(thread, "tr a-z A-Z < source.txt > upper.txt", by=ada)
    with inside(oak, ada):
        repository.write("source.txt", b"b\n", by=ada)
    return thread


MADE = LOSSES | {"make": no_tool("make")}
del MADE["run_command"]


@pytest.mark.parametrize("loss", MADE)
def test_a_make_starts_no_step_for_whoever_lost_the_right(worker, chain, oak, bo, lose, loss):
    with inside(oak, bo):
        make = chain.make("upper.txt", by=bo)
    lose(loss)
    jobs.advance(oak.pk, make.pk)
    worker.again(make)
    assert (make.status, make.reason, worker.ran(make)) == ("cancelled", MADE[loss], [])
    with inside(oak):
        assert not Thread.objects.filter(parent_thread=chain).exists()


@pytest.mark.parametrize("loss", MADE)
def test_a_make_whose_step_waits_ends_with_it(worker, chain, oak, bo, lose, loss):
    with inside(oak, bo):
        make = chain.make("upper.txt", by=bo)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    lose(loss)
    worker.follow(step)
    jobs.advance(oak.pk, make.pk)  # for which the step has rung
    worker.again(make)
    assert (make.status, make.reason, step.status, step.reason) == ("cancelled", MADE[loss], "cancelled", MADE[loss])
    with inside(oak):
        (child,) = Thread.objects.filter(parent_thread=chain)
        assert child.status == "closed"


def test_steps_run_by_the_right_to_make_alone(worker, chain, oak, bo, grant):
    """They are commands that somebody ran before."""
    grant(bo, Tool(pk="run_command"), "none")
    assert worker.make(chain, "upper.txt", by=bo).status == "completed"


def test_a_running_make_is_ended_with_the_step_that_runs(worker, chain, oak, ada, bo, lose):
    with inside(oak, bo):
        make = chain.make("upper.txt", by=bo)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    claimed = worker.claim(step)
    lose("w")
    jobs.advance(oak.pk, make.pk)
    worker.again(step)
    assert (step.status, step.reason) == ("running", NO_WRITER)  # it will end as that
    from threads.following.commands import follow

    follow(claimed)
    worker.again(step)
    with inside(oak):
        assert Make.objects.get(pk=make.pk).status == "cancelled"
    assert (step.status, step.reason) == ("cancelled", NO_WRITER)

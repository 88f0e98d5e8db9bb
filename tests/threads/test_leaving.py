"""Machines that nobody needs are let go; those that somebody is about to work on are not."""

import pytest

from houses.tenancy import inside
from sandboxes.models import Sandbox
from threads import jobs
from threads.models import Thread

UPPER = "tr a-z A-Z < source.txt > upper.txt"


@pytest.fixture
def step(worker, thread, repository, oak, ada):
    """The step of a make, which waits."""
    with inside(oak, ada):
        repository.write("source.txt", b"a\n", by=ada)
    worker.run(thread, UPPER, by=ada)
    with inside(oak, ada):
        repository.write("source.txt", b"b\n", by=ada)
        make = thread.make("upper.txt", by=ada)
    jobs.advance(oak.pk, make.pk)
    (step,) = worker.queued()
    return step


def child_of(step, oak):
    with inside(oak):
        return Thread.objects.get(pk=step.thread_id)


def test_a_make_that_ends_leaves_the_machine_to_whoever_works_on_it(worker, step, machines, oak, ada):
    worker.killed(step, "leave", "call")
    company = worker.ask(child_of(step, oak), "echo begun; sleep 600", by=ada)
    aside = worker.aside(company)
    worker.until(company, "begun")
    worker.again(step)
    worker.again(company)
    assert (step.status, company.sandbox_id) == ("completed", step.sandbox_id)
    jobs.advance(oak.pk, step.make_id)
    assert machines.alive(step.sandbox_id)
    worker.stop(company, by=ada)
    aside.join()
    worker.again(company)
    assert (company.status, company.reason) == ("cancelled", "Stopped by Ada.")


def test_a_make_that_ends_lets_go_what_a_worker_left_behind(worker, step, machines, oak):
    worker.killed(step, "leave", "call")
    worker.again(step)
    assert machines.alive(step.sandbox_id)
    jobs.advance(oak.pk, step.make_id)
    assert not machines.alive(step.sandbox_id)
    with inside(oak):
        assert Sandbox.objects.get(pk=step.sandbox_id).status == "dead"


def test_a_step_leaves_its_machine_to_what_was_asked_for_meanwhile(worker, step, machines, oak, ada):
    worker.killed(step, "keep", "call")
    following = worker.ask(child_of(step, oak), "cat upper.txt", by=ada)
    worker.follow(step)
    worker.follow(following)
    worker.again(step)
    assert (following.sandbox_id, worker.output(following)) == (step.sandbox_id, "B\n")


def test_a_machine_that_is_being_let_go_is_nobodys_any_more(worker, step, oak, ada):
    """Whoever asks for work just then gets another one, with the same files."""
    worker.killed(step, "Local.destroy", "call")
    following = worker.run(child_of(step, oak), "cat upper.txt", by=ada)
    worker.again(step)
    assert step.status == "completed" and worker.output(following) == "B\n"
    assert following.sandbox_id not in (None, step.sandbox_id)

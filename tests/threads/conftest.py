"""Oak at work: an environment with a repository, a thread, and a worker that is this process."""

import os
import signal
import sys
import threading
import time

import pytest
from django.db import connection, connections

from artifacts.models import Derivation, Repository
from houses.tenancy import inside
from sandboxes import providers
from sandboxes.models import Environment
from tests.houses.furniture import sql
from threads import jobs
from threads.following.commands import follow
from threads.models import Command, Make, Thread


@pytest.fixture
def machines(var):
    """The provider, for this test's folder alone; nothing of it is left."""
    providers.provider.cache_clear()
    machine = providers.provider("local")
    yield machine
    for ref in machine.list():
        machine.destroy(ref)
    providers.provider.cache_clear()


@pytest.fixture
def repository(oak, ada, machines):
    with inside(oak, ada):
        return Repository.objects.create_in(oak, "work", by=ada)


@pytest.fixture
def environment(oak, ada, repository):
    """Oak's default; `environment(limits={…})` changes its configuration."""
    with inside(oak, ada):
        return Environment.objects.create_in(
            oak, "plain", by=ada, config={"repository": repository.pk}, secret_bindings=[]
        )


@pytest.fixture
def thread(oak, ada):
    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="work")


@pytest.fixture
def worker(told, environment, oak):
    """Does what workers do, when asked."""
    return Worker(oak, told)


class Worker:
    def __init__(self, house, told):
        self.house, self.told = house, told

    def run(self, thread, text, *, by, **options):
        """Ask for a command and see it through."""
        command = self.ask(thread, text, by=by, **options)
        self.follow(command)
        return command

    def ask(self, thread, text, *, by, **options):
        with inside(self.house, by):
            return thread.run(text, by=by, **options)

    def claim(self, command):
        with inside(self.house):
            return Command.objects.claim(command.pk)

    def follow(self, command):
        claimed = self.claim(command)
        assert claimed is not None
        follow(claimed)
        self.again(command)

    def again(self, row):
        with inside(self.house):
            row.refresh_from_db()

    def aside(self, command):
        """Follow in a thread; `.join()` it."""

        def following():
            try:
                self.follow(command)
            finally:
                connection.close()

        aside = threading.Thread(target=following)
        aside.start()
        return aside

    def until(self, command, text):
        """Wait until that has been told."""
        end = time.monotonic() + 20
        while text not in self.output(command):
            assert time.monotonic() < end, self.output(command)
            time.sleep(0.02)

    def stop(self, command, *, by):
        with inside(self.house, by):
            command.stop(by=by)
        jobs.stop(self.house.pk, command.pk)

    def gone(self, command, machines):
        """Its machine dies."""
        self.again(command)
        machines.destroy(command.sandbox_id)

    def events(self, thing, kind=None):
        """What the thread (of a command) was told."""
        with inside(self.house):
            thread = thing if isinstance(thing, Thread) else thing.thread
        mine = [e for e in self.told(thread) if thing is thread or e["payload"].get("command_id") == thing.pk]
        return [e for e in mine if kind in (None, e["type"])]

    def payload(self, thing, kind):
        (event,) = self.events(thing, kind)
        return event["payload"]

    def output(self, command):
        return "".join(event["payload"]["text"] for event in self.events(command, "command_output"))

    def lapse(self, command):
        """As if its worker had said nothing for a while."""
        with inside(self.house):
            sql("UPDATE commands SET leased_until = now() - interval '1 second' WHERE id = %s", command.pk)

    def killed(self, command, at, moment):
        """Follow in a process of its own that is killed when it comes to that line: at its `call` or its `return`."""
        claimed = self.claim(command)
        connections.close_all()
        pid = os.fork()
        if pid == 0:
            sys.setprofile(lambda frame, event, _: _die(frame, event, at, moment))
            follow(claimed)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"never came to {at}"
        self.lapse(command)

    def made(self, path):
        with inside(self.house):
            return list(Derivation.objects.filter(path=path).order_by("made_at"))

    def make(self, thread, target, *, by):
        """Ask for a target and see it through."""
        with inside(self.house, by):
            make = thread.make(target, by=by)
        return self.settle(make)

    def settle(self, make):
        for _ in range(20):
            jobs.advance(self.house.pk, make.pk)
            for command in self.queued():
                self.follow(command)
            with inside(self.house):
                make = Make.objects.get(pk=make.pk)
            if make.status != "running":
                return make
        raise AssertionError("the make does not come to an end")

    def queued(self):
        with inside(self.house):
            return list(Command.objects.filter(status="queued").order_by("created_at"))

    def ran(self, make):
        with inside(self.house):
            return [command.text for command in make.commands.order_by("created_at") if command.started_at]


def _die(frame, event, at, moment):
    if event == moment and frame.f_code.co_qualname == at:
        os.kill(os.getpid(), signal.SIGKILL)

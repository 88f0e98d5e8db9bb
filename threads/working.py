"""The verbs that make work happen in a thread. A trait of `Thread`."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q

from houses.agents import Agent
from houses.places import House
from houses.refusals import Refused
from houses.rights import permitted, require
from houses.scopes import W
from houses.tenancy import inside
from houses.tools import MAKE, RUN_COMMAND
from sandboxes.models import Environment
from streams.outbox import announce
from threads.conversation import Told, checked_text
from threads.events import CommandQueued
from threads.placing import require_going
from threads.queues import ring_command
from threads.rights import require_work

if TYPE_CHECKING:
    from threads.commands import Command
    from threads.makes import Make


class NoEnvironment(Refused):
    """There is no recipe to make a machine from."""

    code = "no_environment"


class Working(Told):
    """A thread in which commands run and targets are made."""

    environment: Any
    environment_id: Any
    commands: Any
    require_open: Callable[[], None]
    makes: Any
    answers: Any

    class Meta:
        abstract = True

    def resolve_environment(self, explicit: Environment | None = None) -> Environment:
        """The call's environment, else the thread's, else the house's default. Raises `NoEnvironment`."""
        if explicit is not None:
            return explicit
        if self.environment_id is not None:
            return Environment.objects.get(pk=self.environment_id)
        house = House.objects.get(pk=self.house_id)
        default = Environment.objects.filter(pk=house.default_environment_id).first()
        if default is None:
            raise NoEnvironment(
                "This thread has no environment and the house has no default; pick one under Settings → Environments."
            )
        return default

    def run(self, text: str, *, by: Agent, environment: Environment | None = None) -> "Command":
        """Have a shell command run on the thread's sandbox; its output comes on the stream."""
        require_work(by, self, RUN_COMMAND)
        return self.queue(text, by=by, environment=environment)

    @transaction.atomic
    def queue(
        self,
        text: str,
        *,
        by: Agent,
        environment: Environment | None = None,
        make: "Make | None" = None,
        step: str = "",
        targets: list[str] | None = None,
    ) -> "Command":
        """A command that will be run, as it is or as a step of a make: whether that may be was asked before."""
        text = checked_text(text, "A command")
        self._locked().require_open()
        environment = self.resolve_environment(environment)
        environment.wanted_secrets()  # a missing required secret is refused before anything has started
        command: Command = self.commands.create(
            house_id=self.house_id,
            agent=by,
            text=text,
            environment=environment,
            make=make,
            step=step,
            targets=targets or [],
        )
        house_id, command_id = self.house_id, command.pk
        transaction.on_commit(lambda: ring_command(house_id, command_id))  # before it is told: work need not wait
        queued = CommandQueued(
            command_id=command.pk, text=text, make_id=make.pk if make else None, target=", ".join(targets or []) or None
        )
        announce(self, queued, by=by)
        self._touch()
        return command

    @transaction.atomic
    def make(self, target: str, *, by: Agent) -> "Make":
        """Make a file again, and before it whatever it is made from, as far as that went stale.

        Its steps are commands that somebody ran before; that they may run again is what x on the tool `make` says.
        """
        require_work(by, self, MAKE)
        require_going(by)
        self._locked().require_open()
        make: Make = self.makes.begin(self, target, by=by)
        return make

    @transaction.atomic
    def stop(self, *, by: Agent, children: bool = False, again: bool = False) -> None:
        """Stop everything that runs in this thread; with `children`, also what runs in the threads below it."""
        require(by, W, self)
        threads = self._below_where_may(by) if children else [self.pk]
        # Rows are locked before streams, everywhere: makes, commands, answers, and only then is anything told.
        running = self.makes.model.objects.running().filter(thread__in=threads)
        makes = list(running.select_for_update(no_key=True).order_by("pk"))
        ending = self.commands.model.objects.unfinished().filter(Q(thread__in=threads) | Q(make__in=makes))
        commands = list(ending.select_for_update().order_by("pk"))
        answering = self.answers.model.objects.unfinished().filter(thread__in=threads)
        answers = list(answering.select_for_update().order_by("pk"))
        self.commands.model.objects.lock_around(commands)
        for make in makes:
            make.end(by=by)
        for command in commands:
            command.end(by=by)
        for answer in answers:
            answer.end(by=by)
        if children and not again:
            transaction.on_commit(partial(self._stop_latecomers, by))

    def _stop_latecomers(self, by: Agent) -> None:
        """What a run had handed on while it was being stopped; from now on it is refused."""
        with inside(self.house_id, by):
            self.stop(by=by, children=True, again=True)

    def _below_where_may(self, by: Agent) -> list[str]:
        """This thread, and of those below it the ones that they may write in."""
        threads: Any = type(self)._default_manager
        return list(permitted(threads.filter(pk__in=self.lineage()), by, W).values_list("pk", flat=True))

    def lineage(self) -> list[str]:
        """This thread and everything below it, by id."""
        found, level = [self.pk], [self.pk]
        while level:
            threads: Any = type(self)._default_manager
            level = list(threads.filter(parent_thread__in=level).values_list("pk", flat=True))
            found += level
        return found

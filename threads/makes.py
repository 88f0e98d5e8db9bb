"""Making a target: plan, then only the stale steps, each in a child thread of its own, until nothing is due.

A make holds no process and no lock while its steps run: whenever one rests, `advance` compares again, so a step whose
inputs came out the same is never started (early cut-off), and independent steps run at once.
"""

from functools import partial
from typing import Self

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from artifacts.models import Repository
from artifacts.paths import as_target
from artifacts.recipes import is_task
from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Refused
from houses.rights import require
from houses.scopes import W
from houses.tools import MAKE
from sandboxes.machines import LIVE
from sandboxes.models import Environment
from streams.events import few
from streams.outbox import announce
from threads.commands import Command
from threads.events import MakeFinished, MakePlanned
from threads.followed import CANCELLED, COMPLETED, FAILED, RUNNING
from threads.leaving import leave
from threads.plans import described
from threads.queues import ring_make
from threads.rights import NoLongerAllowed, require_still
from threads.stepping import start
from threads.thread import Thread
from threads.witnessing import tell_make

STATUSES = (RUNNING, COMPLETED, FAILED, CANCELLED)
MOST_TASKS = 8  # of one make that agents do at the same time


class MakeQuerySet(models.QuerySet["Make"]):
    """The house's makes."""

    def running(self) -> Self:
        return self.filter(status=RUNNING)

    def readable_by(self, agent: Agent) -> Self:
        """Those in threads that the agent may read."""
        return self.filter(thread__in=Thread.objects.readable_by(agent).values("pk"))

    def rung(self, make_id: str) -> None:
        """Somebody was called for it again."""
        self.filter(pk=make_id).update(rung_at=Now())

    def begin(self, thread: Thread, target: str, *, by: Agent) -> "Make":
        """Plan, tell, and start. Raises what the plan refuses: an unknown target, a cycle, an edited file."""
        target = as_target(target)
        environment = thread.resolve_environment()
        same = self.running().filter(thread=thread, target=target).first()
        if same is not None:  # a double click is one make
            return same
        plan = environment.repository.plan(target, environment_digests())
        make = self.create(
            house_id=thread.house_id,
            thread=thread,
            agent=by,
            repository=environment.repository,
            target=target,
            planned=[step.key for step in plan.steps],
        )
        steps = few(described(plan))
        more = len(plan.steps) - len(steps)
        announce(thread, MakePlanned(make_id=make.pk, target=target, steps=steps, more=more, fresh=plan.fresh), by=by)
        house_id, make_id = make.house_id, make.pk
        transaction.on_commit(lambda: ring_make(house_id, make_id))
        return make


class Make(models.Model):
    """Somebody asked for a target; these are the steps it took."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="makes")
    repository = models.ForeignKey(Repository, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")
    target = models.TextField()
    planned = models.JSONField(db_default=[], default=list)  # keys of the steps that may have to run
    started = models.JSONField(db_default=[], default=list)  # keys of those that did
    status = models.TextField(default=RUNNING, db_default=RUNNING, choices=[(status, status) for status in STATUSES])
    reason = models.TextField(default="", db_default="", blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(null=True)

    objects = MakeQuerySet.as_manager()

    class Meta:
        db_table = "makes"
        constraints = [
            models.CheckConstraint(name="a_make_runs_or_is_over", condition=Q(status__in=STATUSES)),
            models.UniqueConstraint(name="makes_house_id", fields=["house", "id"]),
            models.UniqueConstraint(
                name="one_make_of_a_target_at_a_time", fields=["house", "thread", "target"], condition=Q(status=RUNNING)
            ),
            SameHouse(
                name="a_make_is_asked_in_its_house",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            SameHouse(
                name="a_make_is_of_its_houses_repository",
                fields=("house", "repository"),
                to="artifacts.Repository",
                on_delete="cascade",
            ),
            HouseOwned(name="makes_stay_in_their_house"),
        ]
        indexes = [models.Index(fields=["house"], name="running_makes", condition=Q(status=RUNNING))]

    def __str__(self) -> str:
        return f"make {self.target}"

    @transaction.atomic
    def advance(self) -> None:
        """Start what is ready; finish when nothing is due, or when a step failed and the others have come to rest."""
        # Its own row alone: an announcement in this thread locks the same agent, after the stream.
        make = Make.objects.select_for_update(of=("self",), no_key=True).get(pk=self.pk)
        if make.status != RUNNING:
            return
        try:
            require_still(make.agent, make.thread, MAKE)
        except NoLongerAllowed as lost:
            make.end(reason=lost.detail)
            return
        commands = list(make.commands.all())
        busy = [command for command in commands if not command.is_over]
        failed = [command for command in commands if command.is_over and command.status != COMPLETED]
        if failed:
            if not busy:
                make._finish(FAILED, _why(failed[0]))
            return
        try:
            with transaction.atomic():  # a step that cannot be started takes those beside it along
                ready = make._start_ready(busy)
                rest = "" if ready or busy else make._still_missing()
        except Refused as refused:
            if not busy:
                make._finish(FAILED, refused.detail)
            return
        if not ready and not busy:
            make._finish(FAILED if rest else COMPLETED, rest)

    def stop(self, *, by: Agent) -> None:
        """Start no more of its steps, and end those that run."""
        require(by, W, self.thread)
        self.end(by=by)

    @transaction.atomic
    def end(self, *, by: Agent | None = None, reason: str = "") -> None:
        """Stop it, for somebody who was asked before whether they may; or for a reason, because nobody may want it."""
        make = Make.objects.select_for_update(no_key=True).get(pk=self.pk)
        if make.status == RUNNING:
            make._end_steps(by=by, reason=reason)
            make._finish(CANCELLED, reason or f"Stopped by {by}.", by=by)
        self.refresh_from_db()

    def _end_steps(self, *, by: Agent | None = None, reason: str = "") -> None:
        """The rows of all are locked before anything is told: whoever writes down a rest does it in that order."""
        for command in list(self.commands.unfinished().select_for_update().order_by("pk")):
            command.end(by=by, reason=reason)

    def _done(self, busy: list[Command]) -> set[str]:
        """Keys of the steps that came to rest: they are not asked again, whatever came of them."""
        return set(self.started) - {command.step for command in busy}

    def _start_ready(self, busy: list[Command]) -> bool:
        due = self.repository.due(self.target, self._done(busy), environment_digests())
        ready = [step for step in due.ready if step.key not in self.started]
        room = MOST_TASKS - sum(command.is_run for command in busy)
        tasks = [step for step in ready if is_task(step.recipe)][: max(0, room)]
        ready = [step for step in ready if not is_task(step.recipe) or step in tasks]
        for step in ready:
            start(self, step)
        if ready:
            self.started = [*self.started, *(step.key for step in ready)]
            self.save(update_fields=["started"])
        return bool(ready)

    def _still_missing(self) -> str:
        """Why the target is not fresh although nothing is left to run; empty when it is."""
        steps = self.repository.plan(self.target, environment_digests()).steps
        reasons = [str(reason) for step in steps for reason in step.reasons]
        return f"{self.target} is still not fresh: {reasons[0]}" if reasons else ""

    def _finish(self, status: str, reason: str, *, by: Agent | None = None) -> None:
        self.status, self.reason, self.finished_at = status, reason, timezone.now()
        self.save(update_fields=["status", "reason", "finished_at"])
        ran = Command.objects.filter(make=self, started_at__isnull=False).count()
        spared = len(set(self.planned) - set(self.started)) if status == COMPLETED else 0
        finished = MakeFinished(
            make_id=self.pk, target=self.target, status=status, ran=ran, spared=spared, reason=reason
        )
        announce(self.thread, finished, by=by or self.agent)
        tell_make(self, ran=ran, spared=spared, by=by or self.agent)
        for child in self.thread.children.filter(commands__make=self, agent=None).distinct():
            child.shut(by=self.agent)
        # A step lets its own machine go; these are what a worker that died just then left behind.
        for command in self.commands.over().filter(sandbox__status=LIVE).select_related("sandbox"):
            transaction.on_commit(partial(leave, command))


def _why(command: Command) -> str:
    how = command.reason or f"it ended with exit code {command.exit_code}."
    return f"{', '.join(command.targets)} could not be made: {how} Its thread has the whole output."


def environment_digests() -> dict[str, str]:
    """What each environment of the house is now, to compare with what it was when something was made."""
    return {environment.pk: environment.digest for environment in Environment.objects.all()}

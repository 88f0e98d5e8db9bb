"""Commands: one piece of work on a sandbox, inline in a thread. The row is the queue; Redis is the doorbell."""

from collections.abc import Sequence
from functools import partial
from typing import Self

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property

from houses import vault
from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.rights import require
from houses.scopes import W
from houses.tools import DELEGATE_TASK, MAKE, RUN_COMMAND
from sandboxes.models import Environment, Sandbox
from streams.outbox import announce
from threads.events import CommandFinished
from threads.followed import (
    CANCELLED,
    LEASE,
    QUEUED,
    RUNNING,
    STATUSES,
    FollowedQuerySet,
    Poured,
)
from threads.handing import Handed, take_back
from threads.queues import ring_make, ring_stop
from threads.rights import require_still
from threads.runs import Run, lock_around
from threads.thread import Thread
from threads.witnessing import Figures, tell_command

NEEDED = ("thread", "agent", "bot", "environment", "sandbox")  # by whoever follows a command, all at once


class CommandQuerySet(FollowedQuerySet["Command"]):
    """The house's commands."""

    def readable_by(self, agent: Agent) -> Self:
        """Those in threads that the agent may read."""
        return self.filter(thread__in=Thread.objects.readable_by(agent).values("pk"))

    def started_in(self, sandbox: Sandbox) -> Self:
        """What runs on that machine right now."""
        return self.filter(sandbox=sandbox, status=RUNNING, started_at__isnull=False)

    def runs(self) -> Self:
        """Those of agents."""
        return self.filter(bot__isnull=False)

    def lock_around(self, commands: "Sequence[Command]") -> None:
        """What is locked with each of these, of all at once: before the end of the first of them is told."""
        lock_around(commands)

    @transaction.atomic
    def claim(self, command_id: str) -> "Command | None":
        """The command, for the one worker that gets it; None if it has another, or is over."""
        return self.select_related(*NEEDED).take(command_id)


class Command(Run, Poured):
    """Somebody asked for `text` to be run, or for a bot to do it; this is how far it is."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="commands")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="commands")
    make = models.ForeignKey(
        "threads.Make", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="commands"
    )
    step = models.TextField(default="", db_default="", blank=True)  # which one of it
    targets = models.JSONField(db_default=[], default=list)  # what a make expects of it
    text = models.TextField()
    exit_code = models.IntegerField(null=True)
    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    sandbox = models.ForeignKey(
        Sandbox, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="commands"
    )
    handed = models.UUIDField(null=True)  # in the vault: the secrets it was started with, to hide whoever follows it
    # The tree as the command found it; and whether another one worked in it at the same time.
    before_tree = models.TextField(null=True)
    overlapped = models.BooleanField(default=False, db_default=False)
    # The run of an agent: who drives it, the recipe as it was frozen then, how deep it is delegated, and what its
    # session is called and where it is packed (`id`, `tree`).
    bot = models.ForeignKey(Agent, null=True, on_delete=models.PROTECT, related_name="+")
    recipe = models.JSONField(null=True)
    depth = models.IntegerField(default=0, db_default=0)
    session = models.JSONField(default=dict, db_default={})

    objects = CommandQuerySet.as_manager()

    class Meta:
        db_table = "commands"
        constraints = [
            models.CheckConstraint(name="a_command_is_somewhere_on_its_way", condition=Q(status__in=STATUSES)),
            models.CheckConstraint(
                name="a_run_of_a_bot_has_its_recipe",
                condition=Q(bot=None, recipe=None) | Q(bot__isnull=False, recipe__isnull=False),
            ),
            models.UniqueConstraint(name="commands_house_id", fields=["house", "id"]),
            SameHouse(
                name="a_command_is_run_in_its_house",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            SameHouse(
                name="a_commands_recipe_is_of_its_house", fields=("house", "environment"), to="sandboxes.Environment"
            ),
            SameHouse(
                name="a_commands_sandbox_is_of_its_house",
                fields=("house", "sandbox"),
                to="sandboxes.Sandbox",
                on_delete="set null (sandbox_id)",
            ),
            SameHouse(
                name="a_step_is_of_its_makes_house",
                fields=("house", "make"),
                to="threads.Make",
                on_delete="cascade",
            ),
            HouseOwned(name="commands_stay_in_their_house"),
        ]
        indexes = [
            models.Index(
                fields=["house", "status"], name="unfinished_commands", condition=Q(status__in=[QUEUED, RUNNING])
            )
        ]

    def __str__(self) -> str:
        return self.text.partition("\n")[0][:80]

    @property
    def is_run(self) -> bool:
        """A bot does it, with the agent program that it names; else a shell."""
        return self.bot_id is not None

    @property
    def actor(self) -> Agent:
        """Who does it, and so who made what comes of it."""
        return self.bot or self.agent

    @cached_property
    def figures(self) -> Figures:
        """What its follower saw of it."""
        return Figures()

    def stop(self, *, by: Agent) -> None:
        """End it and everything it started. One that has not begun never will."""
        require(by, W, self.thread)
        self.end(by=by)

    @transaction.atomic
    def end(self, *, by: Agent | None = None, reason: str = "") -> None:
        """Stop it, for somebody who was asked before whether they may; or for a reason, because nobody may want it."""
        command = Command.objects.select_for_update().get(pk=self.pk)
        if command.status == QUEUED:
            command.rest(CANCELLED, reason=reason or f"Stopped by {by} before it began.", by=by)
        elif command.status == RUNNING:
            # Of one that runs the reason says why it is about to end.
            Command.objects.filter(pk=self.pk, stop_asked_by=None, reason="").update(stop_asked_by=by, reason=reason)
            house_id, command_id = self.house_id, self.pk
            transaction.on_commit(lambda: ring_stop(house_id, command_id))
        self.refresh_from_db()

    def require_still(self) -> None:
        """Refuse to go on for whoever lost what it took, or by a bot that did. A step goes on by the right to make."""
        tool = MAKE if self.make_id else DELEGATE_TASK if self.is_run else RUN_COMMAND
        require_still(self.agent, self.thread, tool, bot=self.bot)

    def end_process(self) -> None:
        """End what runs on its machine, if it was started. Call it outside of any transaction."""
        if self.started_at is not None and self.sandbox is not None:
            self.sandbox.machine.stop(self.sandbox.ref, self.pk)

    def note_start(self, *, before_tree: str, handed: Handed) -> float | None:
        """The machine is about to run it: from here on a new worker reads on.

        Returns the seconds it waited; None if somebody stopped it, or started it, first.
        """
        free = Command.objects.filter(pk=self.pk, status=RUNNING, started_at=None, stop_asked_by=None, reason="")
        others = (
            Command.objects.started_in(self.sandbox).exclude(pk=self.pk) if self.sandbox else Command.objects.none()
        )
        near = Command.objects.filter(Q(pk=self.pk) | Q(pk__in=others.values("pk")))
        list(near.select_for_update(no_key=True).order_by("pk"))  # in the order in which a stop locks them
        if not free.exists():
            return None
        self.overlapped = bool(others.update(overlapped=True))
        now = timezone.now()
        self.before_tree, self.started_at, self.leased_until = before_tree, now, now + LEASE
        if not handed.is_empty:
            self.handed = vault.putting(handed.text)  # type: ignore[assignment]  # a part of the statement that saves
        self.save(update_fields=["overlapped", "before_tree", "started_at", "leased_until", "handed", "session"])
        if not handed.is_empty:
            del self.handed  # the database knows what it put there
        handed.note(
            run=self.pk, agent=self.actor, thread_id=self.thread_id, environment=self.environment, calls=self.is_run
        )
        return (now - self.created_at).total_seconds()

    def handing(self) -> Handed:
        """What it is started with; once it runs, what it was started with, whatever that is now."""
        if self.started_at is None:
            return Handed.out_of(self.environment, (self.recipe or {}).get("key_secret") if self.is_run else None)
        return Handed.again(vault.open_value(self.handed) if self.handed else "{}")

    def rest(
        self, status: str, *, reason: str = "", exit_code: int | None = None, by: Agent | None = None, code: str = ""
    ) -> None:
        """It is over without anything to keep."""
        if self.is_run:
            code = code or ("stopped" if status == CANCELLED else "refused")
            self.finish_run(status, code=code, reason=reason, exit_code=exit_code, by=by or self.actor)
        else:
            self.finish(status, reason=reason, exit_code=exit_code, by=by or self.agent)

    def finish(
        self,
        status: str,
        *,
        by: Agent,
        reason: str = "",
        exit_code: int | None = None,
        changed: list[dict[str, object]] | None = None,
        more: int = 0,
        snapshot: str | None = None,
        landed: str | None = None,
        conflicts: list[str] | None = None,
        left_out: list[dict[str, object]] | None = None,
    ) -> None:
        """Write down how it ended, and tell. Needs a transaction in which the row is locked and unfinished."""
        self.settle(status, reason, exit_code, by=by)
        announce(
            self.thread,
            CommandFinished(
                command_id=self.pk,
                status=status,
                exit_code=exit_code,
                seconds=round(self.seconds, 3),
                reason=reason,
                changed=changed or [],
                more=more,
                snapshot=snapshot,
                landed=landed,
                conflicts=conflicts or [],
                left_out=left_out or [],
                redactions=self.redactions,
            ),
            by=by,
        )

    def settle(self, status: str, reason: str, exit_code: int | None, *, by: Agent) -> None:
        """Write down how it ended; who waits for that is called, and its secrets are forgotten."""
        self.status, self.exit_code, self.reason = status, exit_code, reason
        self.finished_at = timezone.now()
        self._forget_secrets()
        self.save(update_fields=["status", "exit_code", "reason", "finished_at", "handed"])
        if self.make_id:  # the first thing on commit: the next step does not wait until this one's end is told
            transaction.on_commit(partial(ring_make, self.house_id, self.make_id))
        tell_command(self, by=by)

    def _forget_secrets(self) -> None:
        if self.handed is not None:
            vault.drop(self.handed)
            self.handed = None
            take_back(self.pk, self.redactions)

"""Threads: durable, shared logs."""

from typing import Self, cast

import pgtrigger
from django.contrib.postgres.indexes import GinIndex
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from artifacts.models import Derivation, Repository
from artifacts.paths import as_target
from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, References, SameHouse
from houses.functions import few
from houses.grants import forgotten_with
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Invalid, NotFound
from houses.rights import may, permitted, require
from houses.scopes import PERMISSIONS, W, scope
from houses.texts import one_line
from sandboxes.models import Environment, Sandbox
from streams.outbox import announce, open_stream
from threads.conversation import Named, Pinned, Spoken, Tagged
from threads.delegating import Delegating
from threads.events import AgentSpawn, ThreadOpened
from threads.sharing import Shared
from threads.working import NoEnvironment, Working

CHAT = ("open", "closed")
DRIVEN = ("idle", "running", "completed", "failed", "cancelled")


class ThreadQuerySet(models.QuerySet["Thread"]):
    """The house's threads."""

    def readable_by(self, agent: Agent) -> Self:
        """Those that the agent may read; for everything that somebody looks for, names or lists."""
        return cast(Self, permitted(self, agent))

    def called(self, ids: set[str], agent: Agent) -> dict[str, str]:
        """The names of those of these threads that the agent may read."""
        named = self.readable_by(agent).exclude(name=None).filter(pk__in=ids)
        return {pk: name or "" for pk, name in named.values_list("pk", "name")}

    def pinned(self) -> Self:
        return self.filter(pinned_at__isnull=False).order_by("pinned_at")

    def recent(self) -> Self:
        return self.filter(parent_thread=None).order_by("-updated_at")

    def tagged(self, tag: str) -> Self:
        # Few are found by a function: the index of an array is not used where a policy has to be asked first.
        ids = few("threads_tagged", "%s", tag)
        return self.filter(tags__contains=[tag]) if ids is None else self.filter(pk__in=ids)

    def on(self, sandbox: Sandbox) -> Self:
        """Everybody who works in that tree."""
        return self.filter(sandbox=sandbox)

    def for_target(self, repository: Repository, target: str, *, by: Agent) -> "Thread":
        """Where to make a file: in the thread that made it before if they may write there, else in a new one."""
        target = as_target(target)
        row = Derivation.objects.of(repository).filter(path=target).first()
        before = self.filter(pk=row.thread_id).first() if row else None
        while before and before.parent_thread:  # a step's own thread was closed with its make
            before = before.parent_thread
        if before and before.makes_in(repository) and may(by, W, before):
            return before
        environment = self._environment_on(repository)
        return self.open_in(repository.house, by=by, name=f"make {target}", environment=environment)

    @staticmethod
    def _environment_on(repository: Repository) -> Environment:
        fitting = Environment.objects.filter(config__repository=repository.pk).order_by("created_at")
        environment = fitting.filter(pk=repository.house.default_environment_id).first() or fitting.first()
        if environment is None:
            raise NotFound(f"No environment has {repository.name} on it; describe one under Settings → Environments.")
        return environment

    def open_in(
        self,
        house: House | str,
        *,
        by: Agent,
        name: str | None = None,
        parent: "Thread | None" = None,
        environment: Environment | None = None,
    ) -> "Thread":
        """A new thread, for whoever may write in the house; a child, for whoever may write in its parent."""
        require(by, W, parent or House(pk=house if isinstance(house, str) else house.pk))
        return self.begin_in(house, by=by, name=name, parent=parent, environment=environment)

    @transaction.atomic
    def begin_in(
        self,
        house: House | str,
        *,
        by: Agent,
        name: str | None = None,
        parent: "Thread | None" = None,
        environment: Environment | None = None,
        bot: Agent | None = None,
        sandbox: Sandbox | None = None,
    ) -> "Thread":
        """A new thread, with its stream; a child is announced on its parent, after its own row.

        For work of arbe's own, like tasks and the steps of a make: whether that may be was asked before. With a bot
        it is driven, and idle until its first run begins.
        """
        house_id = house if isinstance(house, str) else house.pk
        title = one_line(name or "") or None
        if parent is not None and parent.house_id != house_id:
            raise Invalid("A child thread belongs to its parent's house.")
        thread = self.create(
            house_id=house_id,
            stream_id=open_stream(house_id),
            name=title,
            parent_thread=parent,
            environment=environment or (parent.environment if parent else None),
            agent=bot,
            sandbox=sandbox,
            status=DRIVEN[0] if bot else CHAT[0],
        )
        announce(thread, ThreadOpened(name=title), by=by)
        if parent is not None:
            announce(parent, AgentSpawn(child_thread_id=thread.pk, bot_id=str(bot.pk) if bot else None), by=by)
        return thread


class Thread(Delegating, Working, Spoken, Named, Pinned, Tagged, Shared):
    """The log of a piece of work: whoever is in the house reads it, says something, and has work done."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="threads")
    parent_thread = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="children"
    )
    parent_agent = models.ForeignKey(
        Agent,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="addressed",
        db_index=False,
    )
    environment = models.ForeignKey(
        Environment,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    sandbox = models.ForeignKey(
        Sandbox, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="threads"
    )
    agent = models.ForeignKey(
        Agent,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="driven",
    )
    status = models.TextField(
        default="open", db_default="open", choices=[(status, status) for status in (*CHAT, *DRIVEN)]
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ThreadQuerySet.as_manager()

    class Meta:
        db_table = "threads"
        permissions = PERMISSIONS
        constraints = [
            models.CheckConstraint(
                name="chats_and_driven_threads_have_their_own_words",
                condition=Q(agent=None, status__in=CHAT) | Q(agent__isnull=False, status__in=DRIVEN),
            ),
            models.CheckConstraint(
                name="a_thread_has_at_most_one_parent", condition=Q(parent_thread=None) | Q(parent_agent=None)
            ),
            models.UniqueConstraint(name="threads_house_id", fields=["house", "id"]),
            References(
                name="an_addressee_is_an_agent", fields=("parent_agent",), to="houses.Agent", on_delete="cascade"
            ),
            SameHouse(
                name="a_driving_bot_is_a_member",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
            ),
            SameHouse(
                name="a_threads_recipe_is_of_its_house", fields=("house", "environment"), to="sandboxes.Environment"
            ),
            SameHouse(
                name="a_threads_sandbox_is_of_its_house",
                fields=("house", "sandbox"),
                to="sandboxes.Sandbox",
                on_delete="set null (sandbox_id)",
            ),
            SameHouse(
                name="a_child_is_of_its_parents_house",
                fields=("house", "parent_thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            HouseOwned(name="threads_stay_in_their_house"),
            Audited(name="threads_are_audited", ignored=("updated_at",)),
        ]
        indexes = [
            models.Index(fields=["house"], name="pinned_threads_of_a_house", condition=Q(pinned_at__isnull=False)),
            GinIndex(fields=["tags"], name="threads_by_tag"),
            models.Index(fields=["house", "-updated_at"], name="recent_threads_of_a_house"),
        ]
        triggers = [
            forgotten_with("threads"),
            pgtrigger.Trigger(
                name="threads_set_updated_at",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                # The clock of the defaults: in one transaction `now()` would be before the row was made.
                func="NEW.updated_at := statement_timestamp(); RETURN NEW;",
            ),
        ]

    def __str__(self) -> str:
        return self.name or f"untitled {self.pk}"

    def makes_in(self, repository: Repository) -> bool:
        """Whether a make here would be one of that repository's files."""
        try:
            return not self.is_closed and self.resolve_environment().config.get("repository") == repository.pk
        except NoEnvironment:
            return False


scope("thread", Thread, parent="parent_thread_id")

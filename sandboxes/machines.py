"""Sandboxes: a machine and a working tree, disposable, made on first need."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from artifacts.merge import marked, merge
from artifacts.models import Repository
from artifacts.tree import Snapshot
from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.standing import require_x
from houses.tenancy import inside
from sandboxes.environments import Environment
from sandboxes.provider import Provider
from sandboxes.providers import DEFAULT, provider
from sandboxes.setting_up import set_up

PENDING, LIVE, DEAD = "pending", "live", "dead"


class SandboxQuerySet(models.QuerySet["Sandbox"]):
    """The house's machines."""

    def live(self) -> Self:
        return self.filter(status=LIVE)

    def bury(self) -> None:
        """Their machines are gone: say so in the rows."""
        self.exclude(status=DEAD).update(status=DEAD, destroyed_at=Now())

    def born(self, environment: Environment, *, from_: "Sandbox | None" = None) -> "Sandbox":
        """A row before its machine; with `from_`, one that will have the tree of the dead machine."""
        return self.create(
            house_id=environment.house_id,
            environment=environment,
            provider=DEFAULT,
            tree=from_.tree if from_ else None,
            base_tree=from_.base_tree if from_ else None,
            snapshot=from_.snapshot if from_ else None,
            held=from_.held if from_ else None,
        )


class Sandbox(models.Model):
    """A disposable machine with a working tree, born from an environment. Threads point at it."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="sandboxes")
    environment = models.ForeignKey(
        Environment, on_delete=models.DO_NOTHING, db_constraint=False, related_name="sandboxes"
    )
    provider = models.TextField()
    provider_ref = models.TextField(null=True, blank=True)
    status = models.TextField(
        db_default=PENDING, default=PENDING, choices=[(PENDING, "pending"), (LIVE, "live"), (DEAD, "dead")]
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    destroyed_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What the folder holds (as of the last look), what of that the branch has already, and the last kept commit of it.
    tree = models.TextField(null=True, editable=False)
    base_tree = models.TextField(null=True, editable=False)
    snapshot = models.TextField(null=True, editable=False)
    # A blob with the paths that do not go to the branch: what the set-up wrote, what stopped commands left half done.
    held = models.TextField(null=True, editable=False)

    objects = SandboxQuerySet.as_manager()

    class Meta:
        db_table = "sandboxes"
        verbose_name_plural = "sandboxes"
        constraints = [
            models.CheckConstraint(
                name="a_sandbox_is_pending_live_or_dead", condition=Q(status__in=[PENDING, LIVE, DEAD])
            ),
            models.UniqueConstraint(name="sandboxes_house_id", fields=["house", "id"]),
            SameHouse(
                name="a_sandbox_is_built_from_its_houses_recipe",
                fields=("house", "environment"),
                to="sandboxes.Environment",
            ),
            HouseOwned(name="sandboxes_stay_in_their_house"),
            Audited(name="sandboxes_are_audited", ignored=("tree", "base_tree", "snapshot", "held")),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"

    @property
    def machine(self) -> Provider:
        return provider(self.provider)

    @property
    def ref(self) -> str:
        return self.provider_ref or self.pk

    def make_ready(self, is_wanted: Callable[[], bool] = lambda: True) -> float:
        """Make the machine of a pending row, with its tree and set-up done; returns the seconds it took.

        Call it outside of any transaction and while `alone`. What a set-up writes into the tree is part of the machine,
        not of the branch. Raises `ProviderError`, `SetupFailed`, and `Refused` when it is not wanted any more.
        """
        began = time.monotonic()
        with inside(self.house_id):
            repository = self.environment.repository
            environment, commit = self.environment, repository.head
            tree = self.tree or repository.bare.tree_of(commit)
        ref = self.machine.create(self.pk, environment.limits)
        self.machine.restore(ref, repository.bare.path, tree)
        self.machine.track(ref, repository.bare.path, repository.branch, commit)
        known: dict[str, str | None] = {"tree": tree, "base_tree": self.base_tree or tree}
        if set_up(self.machine, ref, environment, is_wanted):
            after = self.machine.snapshot(ref, repository.bare.path).tree
            written = {change.path for change in repository.bare.changes(tree, after)}
            known["tree"] = after
            known["held"] = _listed(repository, self.held_paths(repository) | written)
        self._remember(status=LIVE, provider_ref=ref, **known)
        return time.monotonic() - began

    def held_paths(self, repository: Repository) -> set[str]:
        """What stays in the tree and does not land."""
        return set(json.loads(repository.bare.read(self.held))) if self.held else set()

    # What a command leaves behind, in the transaction that says how it ended.

    def keep(self, snapshot: str) -> None:
        """The tree as it was left, as a commit: whoever resumes begins there."""
        self._set(snapshot=snapshot)

    def hold(self, repository: Repository, paths: set[str]) -> None:
        """Exactly these paths stay in the tree and do not land."""
        self._set(held=_listed(repository, paths))

    def note_landing(self, base_tree: str) -> None:
        """The branch has this much of the tree: the next landing is compared with it."""
        self._set(base_tree=base_tree)

    # Looking and levelling

    def level(self, repository: Repository, branch: str | None = None) -> list[str]:
        """Bring what is new on the branch into the tree; returns the paths that both sides changed, untouched.

        Git inside is on that branch then, or on one of its own that begins there: whoever works on that finds both
        sides in the file, marked as git does.
        """
        commit = repository.head
        head = repository.bare.tree_of(commit)
        conflicts = [] if head == self.base_tree else self._bring(repository, head, marks=branch is not None)
        self.machine.track(self.ref, repository.bare.path, branch or repository.branch, commit)
        return conflicts

    def _bring(self, repository: Repository, head: str, *, marks: bool) -> list[str]:
        assert self.tree and self.base_tree
        bare, base = repository.bare, self.base_tree
        merged = merge(bare, base, self.tree, head)
        both = marked(bare, base, self.tree, head, merged.conflicts, repository.branch) if marks else {}
        tree = bare.edit(merged.tree, both)
        if tree != self.tree:
            self.machine.restore(self.ref, bare.path, tree)
        # Where both sides changed a file the tree keeps its own, and the base its old one: the next landing says so.
        left = [path for path in merged.conflicts if path not in both]
        self._remember(tree=tree, base_tree=bare.edit(head, bare.oids(base, left)))
        return left

    def look(self, repository: Repository) -> Snapshot:
        """The tree as it is now, untracked files too, in the repository's object store."""
        seen = self.machine.snapshot(self.ref, repository.bare.path)
        self._remember(tree=seen.tree)
        return seen

    def _remember(self, **known: str | None) -> None:
        with inside(self.house_id):
            self._set(**known)

    def _set(self, **known: str | None) -> None:
        Sandbox.objects.filter(pk=self.pk).update(**known)
        for name, value in known.items():
            setattr(self, name, value)

    def is_alive(self) -> bool:
        return self.status == LIVE and self.machine.alive(self.ref)

    def dismiss(self, *, by: Agent) -> None:
        """Let the machine go because somebody who manages the house says so."""
        with inside(self.house_id, by):
            require_x(by)
        self.destroy()

    def destroy(self) -> None:
        """Let the machine go; its last snapshot stays, so that a thread can resume from it."""
        self.bury()
        self.machine.destroy(self.ref)

    def bury(self) -> None:
        """The machine is gone: say so in the row."""
        with inside(self.house_id):
            Sandbox.objects.filter(pk=self.pk).bury()
        self.status = DEAD

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One at a time makes, levels, starts in or looks at this machine. Held outside of transactions."""
        if transaction.get_connection().in_atomic_block:
            raise RuntimeError("a machine is not waited for inside a transaction")
        pause = 0.005
        while not _ask("SELECT pg_try_advisory_lock(hashtextextended(%s, 2))", self.pk):
            connection.close()  # a set-up takes its time, and whoever waits for it has no use for a connection
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        try:
            with inside(self.house_id):
                self.refresh_from_db()
            yield
        finally:
            _ask("SELECT pg_advisory_unlock(hashtextextended(%s, 2))", self.pk)


def _listed(repository: Repository, paths: set[str]) -> str | None:
    """A set of paths as `held` keeps it."""
    return repository.bare.blob(json.dumps(sorted(paths)).encode()) if paths else None


def _ask(sql: str, value: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(sql, [value])
        return bool(cursor.fetchone()[0])

"""Repositories of a house: a row, and a bare git repository in a folder."""

import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now

from artifacts import graph, importing, made, plan, story
from artifacts.bare import Author, Bare, Change
from artifacts.current import Current
from artifacts.derivations import Derivation
from artifacts.made import Made
from artifacts.merge import merge
from artifacts.paths import inside_repository, told
from artifacts.sources import arriving, bring
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.ids import ShortIdField
from houses.models import Agent, House
from houses.refusals import Invalid, NameTaken, NotFound, Refused
from houses.standing import require_w
from houses.tenancy import inside

if TYPE_CHECKING:
    from artifacts.graph import Staleness
    from artifacts.plan import Due, Plan
    from artifacts.story import Lineage, Why

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_KEY = "Arbe-Key: "
_LOOK_BACK = 200
_TAKEN = "This house already has a repository called `{}`; choose another name."


class Overtaken(Refused):
    """Somebody else changed the file in the meantime."""

    code = "overtaken"


@dataclass(frozen=True)
class Landing:
    """What came of bringing a work tree's changes onto the branch.

    `commit` holds them and `tree` is its tree; without changes that is the commit that was there already.
    At the paths in `conflicts` the branch kept what it had. `replayed` says that all this was done before.
    """

    commit: str
    tree: str
    conflicts: tuple[str, ...]
    changes: tuple[Change, ...]
    replayed: bool = False


class RepositoryQuerySet(models.QuerySet["Repository"]):
    """The house's repositories."""

    def create_in(self, house: House, name: str, *, by: Agent, source: str | None = None) -> "Repository":
        """A new repository, empty or with everything of `source`. A failure leaves nothing behind.

        What is elsewhere may take its time: with a `source`, call it outside of any transaction.
        """
        if not NAME.fullmatch(name):
            raise Invalid("A repository's name is letters, digits, `.`, `-` and `_`, at most 100 of them.")
        with inside(house, by):
            require_w(by)
            if self.filter(house=house, name=name).exists():
                raise NameTaken(_TAKEN.format(name))
        with arriving(_folder(house.pk)) as folder:
            if source is None:
                branch, _ = "main", Bare.create(folder, author(by))
            else:
                # Whoever reads folders of the server reads every house's: that is for operators.
                trusted = settings.LOCAL_IMPORTS and by.is_operating
                _, branch = bring(folder, source, author(by), trusted=trusted, closed=Path(settings.ARBE_VAR))
            with inside(house, by):
                require_w(by)  # it may have taken its time
                return self._settle(house, name, branch, folder)

    def _settle(self, house: House, name: str, branch: str, folder: Path) -> "Repository":
        try:
            with transaction.atomic():
                repository = self.create(house=house, name=name, branch=branch)
                folder.rename(repository.folder)
        except IntegrityError as error:
            raise NameTaken(_TAKEN.format(name)) from error
        try:
            with transaction.atomic():
                importing.rebuild(repository)
        except BaseException:
            shutil.rmtree(repository.folder)
            raise
        return repository


class Repository(models.Model):
    """A store of files and of how they were made."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="repositories")
    name = models.TextField()
    branch = models.TextField(default="main")
    # The tree of the branch when the states of derivations were last brought up to date.
    checked_tree = models.TextField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = RepositoryQuerySet.as_manager()

    class Meta:
        db_table = "repositories"
        verbose_name_plural = "repositories"
        constraints = [
            models.UniqueConstraint(name="a_repository_and_its_house", fields=["house", "id"]),
            models.UniqueConstraint(name="one_repository_per_name_and_house", fields=["house", "name"]),
            HouseOwned(name="repositories_stay_in_their_house"),
            Audited(name="repositories_are_audited", ignored=("checked_tree",)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return _folder(self.house_id) / f"{self.pk}.git"

    @cached_property
    def bare(self) -> Bare:
        return Bare(self.folder)

    @property
    def head(self) -> str:
        """The newest commit of the branch."""
        head = self.bare.head(self.branch)
        if head is None:
            raise NotFound(f"The branch `{self.branch}` of `{self.name}` is gone.")
        return head

    @property
    def tree(self) -> str:
        """The tree of the newest commit."""
        return self.bare.tree_of(self.head)

    # Files

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The bytes of a file as the branch has it."""
        entry = self.bare.entry(self.head, path)
        if entry is None or entry.is_folder:
            raise NotFound(f"There is no file `{path}` in this repository.")
        return self.bare.read(entry.oid, limit)

    def write(
        self, path: str, content: bytes, *, by: Agent, message: str | None = None, expect_oid: str | None = None
    ) -> str:
        """Put a file on the branch; the id of the commit that holds it. `expect_oid` is what is being replaced."""
        require_w(by)
        return self._change(path, content, by, message or f"Write {path}", expect_oid)

    def remove(self, path: str, *, by: Agent, message: str | None = None, expect_oid: str | None = None) -> str:
        """Take a file off the branch."""
        require_w(by)
        if self.bare.entry(self.head, path) is None:
            raise NotFound(f"There is no file `{path}` in this repository.")
        return self._change(path, None, by, message or f"Remove {path}", expect_oid)

    @transaction.atomic
    def land(
        self,
        base_tree: str,
        theirs_tree: str,
        *,
        by: Agent,
        message: str,
        key: str = "",
        trailers: tuple[str, ...] = (),
        whole: bool = False,
    ) -> Landing:
        """Merge what changed between two trees onto the branch. With a `key` that happens once, however often asked.

        With `whole`, nothing of it lands as soon as something conflicts.
        """
        self.lock()
        head = self.head
        done = self._landed(head, key) if key else None
        if done:
            return self._landing(done, self.bare.lookup(done).parents[0], base_tree, theirs_tree)
        ours = self.bare.tree_of(head)
        merged = merge(self.bare, base_tree, ours, theirs_tree)
        if merged.tree == ours or (whole and merged.conflicts):
            return Landing(head, ours, _told(merged.conflicts), ())
        lines = [*trailers, *([f"{_KEY}{key}"] if key else [])]
        full = "\n".join([message, "", *lines, ""]) if lines else message
        commit = self.bare.commit(merged.tree, [head], author(by), full)
        self.bare.set_branch(self.branch, commit, expect=head)
        return Landing(commit, merged.tree, _told(merged.conflicts), tuple(self.bare.changes(ours, merged.tree)))

    def lock(self) -> None:
        """Hold the branch until the transaction ends: one writer at a time."""
        Repository.objects.select_for_update(no_key=True).only("pk").get(pk=self.pk)

    # What was made of what

    def record(self, run: Made) -> list[Derivation]:
        """Keep what a command made and from what. Saying it again gives the same rows."""
        return made.record(self, run)

    def stale(self, environment_digests: Mapping[str, str] | None = None) -> "dict[str, Staleness]":
        """Every made file that is not fresh, with the reasons."""
        return graph.stale(self, Current.with_(environment_digests))

    def plan(self, target: str | None = None, environment_digests: Mapping[str, str] | None = None) -> "Plan":
        """What would have to run to make the target fresh (or everything, without one)."""
        return plan.plan(self, target, Current.with_(environment_digests))

    def due(
        self, target: str | None, done: Collection[str] = (), environment_digests: Mapping[str, str] | None = None
    ) -> "Due":
        """Which steps can run now, and which wait; asked again after each step, it spares what came out the same.

        Steps whose key is in `done` count as done, whatever came of them.
        """
        return plan.due(self, target, done, Current.with_(environment_digests))

    def why(self, path: str, environment_digests: Mapping[str, str] | None = None) -> "Why":
        """Where a file comes from, why it is stale, and what is made of it."""
        return story.why(self, path, Current.with_(environment_digests))

    def lineage(self, path: str, environment_digests: Mapping[str, str] | None = None, limit: int = 200) -> "Lineage":
        """The files around a file: what it was made from, and what was made from it."""
        return story.lineage(self, path, Current.with_(environment_digests), limit)

    @transaction.atomic
    def _change(self, path: str, content: bytes | None, by: Agent, message: str, expect_oid: str | None) -> str:
        self.lock()
        head = self.head
        present = self.bare.oids(head, [inside_repository(path)])[path]
        if expect_oid is not None and present != expect_oid:
            raise Overtaken(f"`{path}` was changed by somebody else in the meantime; look at it and save again.")
        tree = self.bare.edit(self.bare.tree_of(head), {path: content})
        if tree == self.bare.tree_of(head):
            return head
        commit = self.bare.commit(tree, [head], author(by), message)
        self.bare.set_branch(self.branch, commit, expect=head)
        return commit

    def _landed(self, at: str, key: str) -> str | None:
        for _ in range(_LOOK_BACK):
            commit = self.bare.lookup(at)
            if commit.message.endswith(f"\n{_KEY}{key}\n"):
                return at
            if not commit.parents:
                return None
            at = commit.parents[0]
        return None

    def _landing(self, commit: str, parent: str, base_tree: str, theirs_tree: str) -> Landing:
        before, tree = self.bare.tree_of(parent), self.bare.tree_of(commit)
        conflicts = _told(merge(self.bare, base_tree, before, theirs_tree).conflicts)
        return Landing(commit, tree, conflicts, tuple(self.bare.changes(before, tree)), replayed=True)


def author(by: Agent) -> Author:
    """An agent as git knows authors."""
    return Author(*by.signature())


def _told(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(told, paths))


def _folder(house_id: str) -> Path:
    return Path(settings.ARBE_VAR) / "repositories" / house_id

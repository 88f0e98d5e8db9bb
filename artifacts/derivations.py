"""The edge that git does not have: this file was made from those, by that recipe, in that run."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.functions import Now

from artifacts.recipes import TOLD, headline, is_task
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.models import House

if TYPE_CHECKING:
    from artifacts.current import Current
    from artifacts.repositories import Repository

FRESH, STALE, EDITED, MISSING = "fresh", "stale", "edited", "missing"
OBSERVED, DECLARED = "observed", "declared"


class DerivationQuerySet(models.QuerySet["Derivation"]):
    """What was made."""

    def of(self, repository: "Repository") -> Self:
        """The latest derivation of every path of a repository."""
        return self.filter(repository=repository, current=True)

    def due(self, now: "Current") -> Self:
        """Those that are not fresh by themselves, or whose environment or bot has become another one."""
        due = ~Q(state=FRESH)
        for what, pk, digest in now.digests():
            # Smaller or greater: an index answers that at once, where "not equal" would look at every row.
            other = Q(**{f"{what}_digest__lt": digest}) | Q(**{f"{what}_digest__gt": digest})
            due |= Q(**{what: pk}) & other
        return self.filter(due)

    def any_due(self, now: "Current") -> bool:
        """True if `due` would find something. Each part asks an index of its own, so many fresh rows cost nothing."""
        parts = [self.exclude(state=FRESH).values("pk")]
        for what, pk, digest in now.digests():
            there = self.filter(**{what: pk}).values("pk")
            parts += [there.filter(**{f"{what}_digest__{side}": digest}) for side in ("lt", "gt")]
        return parts[0].union(*parts[1:], all=True).exists() if len(parts) > 1 else parts[0].exists()

    def touched_by(self, repository: "Repository", paths: Iterable[str]) -> Self:
        """The latest derivations that have one of these paths as output or input."""
        paths = list(paths)
        users = Input.objects.filter(house=repository.house_id, repository=repository, path__in=paths)
        return self.of(repository).filter(Q(path__in=paths) | Q(pk__in=users.values("derivation")))

    def insert(self, rows: "list[Derivation]") -> None:
        """Save new rows at once, with ids from the database."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT generate_short_id() FROM generate_series(1, %s)", [len(rows)])
            for row, (short_id,) in zip(rows, cursor.fetchall(), strict=True):
                row.pk = short_id
        self.bulk_create(rows)


class Derivation(models.Model):
    """One file, the files it was made from, and what made it."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    repository = models.ForeignKey(
        "artifacts.Repository",
        on_delete=models.CASCADE,
        related_name="derivations",
        db_constraint=False,
        db_index=False,
    )
    path = models.TextField()
    oid = models.TextField()
    commit = models.TextField()
    recipe = models.JSONField()
    recipe_oid = models.TextField()
    environment = models.TextField(default="", blank=True)
    environment_digest = models.TextField(default="", blank=True)
    bot = models.TextField(default="", db_default="", blank=True)  # of a task: who did it, and what it was then
    bot_digest = models.TextField(default="", db_default="", blank=True)
    thread_id = models.TextField(default="", blank=True)
    command_id = models.TextField(default="", blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    made_by_name = models.TextField(default="", blank=True)
    asked_by_name = models.TextField(default="", db_default="", blank=True)  # who gave the task, where a bot did it
    made_at = models.DateTimeField(db_default=Now())
    seconds = models.FloatField(default=0)
    # False where the file system does not tell who was read, or where commands overlapped.
    known_complete = models.BooleanField(default=True)
    failed = models.BooleanField(default=False)
    current = models.BooleanField(default=True)
    state = models.TextField(default=FRESH)

    objects = DerivationQuerySet.as_manager()

    class Meta:
        db_table = "derivations"
        constraints = [
            models.UniqueConstraint(name="a_derivation_and_its_house", fields=["house", "id"]),
            models.UniqueConstraint(
                name="one_current_derivation_per_path",
                fields=["house", "repository", "path"],
                condition=Q(current=True),
            ),
            models.CheckConstraint(
                name="a_derivation_is_in_a_known_state", condition=Q(state__in=[FRESH, STALE, EDITED, MISSING])
            ),
            SameHouse(
                name="a_derivation_is_of_a_repository_next_to_it",
                fields=("house", "repository"),
                to="artifacts.Repository",
                on_delete="cascade",
            ),
            HouseOwned(name="derivations_stay_in_their_house"),
        ]
        indexes = [
            models.Index(
                name="derivations_not_fresh", fields=["repository"], condition=Q(current=True) & ~Q(state=FRESH)
            ),
            models.Index(
                name="derivations_by_environment",
                fields=["repository", "environment", "environment_digest"],
                condition=Q(current=True),
            ),
            models.Index(
                name="derivations_by_bot",
                fields=["repository", "bot", "bot_digest"],
                condition=Q(current=True) & ~Q(bot=""),
            ),
            models.Index(name="derivations_by_recipe", fields=["repository", "recipe_oid"], condition=Q(current=True)),
            models.Index(name="derivations_of_a_path", fields=["repository", "path", "-made_at"]),
            models.Index(name="derivations_of_a_command", fields=["repository", "command_id"]),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def command(self) -> str:
        """Of a shell; a task has none."""
        return str(self.recipe.get("command", ""))

    @property
    def task(self) -> dict[str, str] | None:
        """What a bot was told, and what it was then; None for a command."""
        return {name: str(self.recipe.get(name) or "") for name in TOLD} if is_task(self.recipe) else None

    @property
    def headline(self) -> str:
        """What was done, on one line."""
        return headline(self.recipe)

    def assess(self, inputs: Iterable[tuple[str, str]], present: Mapping[str, str | None]) -> str:
        """The state that follows from what the branch holds now, looking no further than the file's own inputs."""
        here = present[self.path]
        if here is None:
            return MISSING
        if here != self.oid:
            return EDITED
        return STALE if self.failed or any(present[path] != oid for path, oid in inputs) else FRESH

    def story(self, inputs: "list[Input]") -> dict[str, Any]:
        """The line of the git note that tells this."""
        return {
            "path": self.path,
            "oid": self.oid,
            "recipe": self.recipe,
            "environment_digest": self.environment_digest,
            "inputs": [{"path": i.path, "oid": i.oid, "how": i.how} for i in inputs],
            "by": str(self.made_by_id or ""),
            "name": self.made_by_name,
            **({"asked": self.asked_by_name} if self.asked_by_name else {}),
            "at": self.made_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "complete": self.known_complete,
            "failed": self.failed,
            "thread": self.thread_id,
            "command": self.command_id,
        }


class Input(models.Model):
    """A file that a derivation was made from, as it was then, and how that is known."""

    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    repository = models.ForeignKey(
        "artifacts.Repository", on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    derivation = models.ForeignKey(Derivation, on_delete=models.CASCADE, related_name="inputs", db_constraint=False)
    path = models.TextField()
    oid = models.TextField()
    how = models.TextField(choices=[(OBSERVED, "observed"), (DECLARED, "declared")])

    class Meta:
        db_table = "inputs"
        constraints = [
            models.UniqueConstraint(name="an_input_once_per_derivation", fields=["house", "derivation", "path"]),
            models.CheckConstraint(name="an_input_is_known_somehow", condition=Q(how__in=[OBSERVED, DECLARED])),
            SameHouse(
                name="an_input_is_of_a_repository_next_to_it",
                fields=("house", "repository"),
                to="artifacts.Repository",
                on_delete="cascade",
            ),
            SameHouse(
                name="an_input_is_of_a_derivation_next_to_it",
                fields=("house", "derivation"),
                to="artifacts.Derivation",
                on_delete="cascade",
            ),
            HouseOwned(name="inputs_stay_in_their_house"),
        ]
        indexes = [models.Index(name="inputs_by_path", fields=["house", "repository", "path"])]

    def __str__(self) -> str:
        return self.path

"""Artifacts: what came out of work and is worth finding again, wherever its bytes are."""

import re
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from artifacts.repositories import Repository
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.models import Agent, House, Resource
from houses.particulars import particulars
from houses.refusals import Invalid, NotFound, Refused
from houses.saying import one_at_a_time, taken_as
from houses.standing import require_w
from houses.tenancy import current_house
from houses.texts import line_of, text_of, word

MESSAGE, FILE, URL, COMMIT, SCREENSHOT, LOG_REF = "message", "file", "url", "commit", "screenshot", "log-ref"
# Words that everybody spells alike; any other is as good.
KINDS = (MESSAGE, FILE, URL, COMMIT, SCREENSHOT, LOG_REF)
OID = re.compile(r"[0-9a-f]{40}")
MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}(;[ -~]{0,200})?")


class KeptAlready(Refused):
    """The same thing was kept before, and something else was said about it."""

    code = "kept_already"


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    """What the house kept."""

    def shown_to(self, agent: Agent) -> Self:
        """With who kept it and where it is, and what it is about if the agent may read that; at once for all."""
        seen = Resource.objects.seen_by(agent).filter(pk=models.OuterRef("resource_id"))
        return self.select_related("repository", "made_by").annotate(seen_resource=models.Subquery(seen.values("pk")))

    def keep(self, *, by: Agent, kind: str = FILE, **said: Any) -> "Artifact":
        """Keep a version of a file, a commit, or a pointer to something elsewhere. Saying it twice does it once."""
        require_w(by)
        given = {"kind": word(kind, "kind")} | _texts(said) | _aim(said, by)
        if not any(given.get(name) for name in ("external_id", "byte_ref", "commit")):
            raise Invalid("An artifact points at something: a commit of a repository, an external_id or a byte_ref.")
        one_at_a_time("artifact", *(str(given[name]) for name in ("external_id", "byte_ref", "path", "commit")))
        same = self.filter(house_id=current_house(), **given).order_by("made_at").first()
        if same is not None:
            return same
        with taken_as(KeptAlready("That version was kept before, with something else said about it.")):
            return self.create(house_id=current_house(), made_by=by, **given)


class Artifact(models.Model):
    """Something that came out of work: it stays when the thread and the machine are gone."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="artifacts")
    kind = models.TextField()  # one of `KINDS`, or another word
    label = models.TextField(default="", db_default="", blank=True)
    external_id = models.TextField(default="", db_default="", blank=True)  # of a message, a pull request, …
    mime_type = models.TextField(default="", db_default="", blank=True)
    byte_ref = models.TextField(default="", db_default="", blank=True)  # a place in a store of bytes, or in a stream
    repository = models.ForeignKey(
        Repository, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="artifacts"
    )
    path = models.TextField(default="", db_default="", blank=True)
    commit = models.TextField(default="", db_default="", blank=True)
    source_thread_id = models.TextField(default="", db_default="", blank=True)
    source_run = models.TextField(default="", db_default="", blank=True)  # the command that it came out of
    resource = models.ForeignKey(
        Resource, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="artifacts"
    )
    metadata = models.JSONField(default=dict, db_default={}, blank=True)
    made_by = models.ForeignKey(Agent, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)
    made_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        db_table = "artifacts"
        constraints = [
            models.UniqueConstraint(name="artifacts_house_id", fields=["house", "id"]),
            models.UniqueConstraint(
                name="a_version_is_kept_once",
                fields=["house", "repository", "path", "commit"],
                condition=Q(repository__isnull=False),
            ),
            SameHouse(
                name="an_artifact_is_of_a_repository_next_to_it",
                fields=("house", "repository"),
                to="artifacts.Repository",
                on_delete="set null (repository_id)",
            ),
            SameHouse(
                name="an_artifact_is_about_a_resource_next_to_it",
                fields=("house", "resource"),
                to="houses.Resource",
                on_delete="set null (resource_id)",
            ),
            HouseOwned(name="artifacts_stay_in_their_house"),
            Audited(name="artifacts_are_audited"),
        ]
        indexes = [
            models.Index(fields=["house", "-made_at"], name="artifacts_by_time"),
            models.Index(fields=["house", "source_thread_id"], name="artifacts_of_a_thread"),
        ]

    def __str__(self) -> str:
        return self.label or self.path or self.external_id or self.commit[:7] or self.byte_ref

    def relabel(self, label: str, *, by: Agent) -> None:
        """Call it something else; without a label it goes by what it is."""
        require_w(by)
        label = line_of(label, "label")
        if label != self.label:
            self.label = label
            self.save(update_fields=["label"])

    def forget(self, *, by: Agent) -> None:
        """Keep it no longer. The file, the commit or whatever it is stays where it is."""
        require_w(by)
        Artifact.objects.filter(house_id=current_house(), pk=self.pk).delete()


def _texts(said: dict[str, Any]) -> dict[str, Any]:
    """What is said about it in words. Raises `Invalid`."""
    longest = {"label": 200, "external_id": 1000, "byte_ref": 1000, "source_thread_id": 60, "source_run": 60}
    given: dict[str, Any] = {name: line_of(said.get(name, ""), name, n) for name, n in longest.items()}
    given["mime_type"] = text_of(said.get("mime_type", ""), "mime_type", 400).lower()
    if given["mime_type"] and not MIME.fullmatch(given["mime_type"]):
        raise Invalid("mime_type: this is a type and a subtype, like image/png.")
    return given | {"metadata": particulars(said.get("metadata") or {}, "metadata")}


def _aim(said: dict[str, Any], by: Agent) -> dict[str, Any]:
    """What it points at in this house. Raises `NotFound` for what is not there, `Invalid` for what is half said."""
    repository, path, commit = (said.get(name) or "" for name in ("repository", "path", "commit"))
    aim: dict[str, Any] = {"path": "", "commit": "", "repository": None, "resource": None}
    if resource := said.get("resource"):
        aim["resource"] = Resource.objects.chosen([resource], by=by)[0]
    if repository:
        aim |= {"repository": _version(repository, path, commit), "path": path, "commit": commit}
    elif path or commit:
        raise Invalid("repository: a path and a commit are of a repository; say which.")
    return aim


def _version(repository_id: str, path: str, commit: str) -> Repository:
    repository = Repository.objects.filter(pk=repository_id).first()
    if repository is None:
        raise NotFound("There is no such repository in this house.")
    if not OID.fullmatch(commit):
        raise Invalid("commit: this is the id of a commit, 40 letters and digits.")
    repository.bare.lookup(commit)
    entry = repository.bare.entry(commit, path) if path else None
    if path and (entry is None or entry.is_folder):
        raise NotFound("path: there is no such file in that commit.")
    return repository

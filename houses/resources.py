"""Resources: external things that agents operate on, known here by a row and addressed there by their own id."""

from collections.abc import Iterable
from typing import Any, Self

from django.db import models
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned
from houses.grants import forgotten_with
from houses.ids import ShortIdField
from houses.particulars import particulars
from houses.places import House
from houses.refusals import NotFound, Refused
from houses.rights import permitted
from houses.saying import changed, hold, says, taken_as
from houses.scopes import PERMISSIONS, R, scope
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import line_of, word

# Words that everybody spells alike; any other is as good.
KINDS = (
    "github-repo",
    "discord-channel",
    "linear-workspace",
    "pagerduty-service",
    "webhook-endpoint",
    "durable-stream",
    "sandbox",
)


class AlreadyKnown(Refused):
    """Another resource of the house stands for the same thing outside."""

    code = "already_known"


class ResourceQuerySet(models.QuerySet["Resource"]):
    """The house's resources."""

    def seen_by(self, agent: Agent) -> Self:
        """Those that the agent may read."""
        return permitted(self, agent, R)  # type: ignore[return-value]  # the same kind of query comes back

    def chosen(self, ids: Iterable[str], *, by: Agent) -> "list[Resource]":
        """These, all of which `by` may read; else a refusal that is the same for what is elsewhere."""
        wanted = set(ids)
        rows = list(self.seen_by(by).filter(pk__in=wanted)) if wanted else []
        if len(rows) != len(wanted):
            raise NotFound("This house has no such resource; see Settings → Resources.")
        return rows

    def create_in(
        self, house: House, name: str, *, kind: str, external_id: str, config: dict[str, Any] | None = None, by: Agent
    ) -> "Resource":
        """A new one. Saying it twice does it once; two for one thing outside are refused."""
        require_x(by)
        given = _checked(name, kind, external_id, config or {})
        same = self.filter(house=house, kind=given["kind"], external_id=given["external_id"]).first()
        if same is not None and says(same, given):
            return same
        with taken_as(_known()):
            return self.create(house=house, **given)


class Resource(models.Model):
    """Something outside: a repository of a forge, a channel, a workspace, an endpoint. It carries no secrets."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="resources")
    name = models.TextField()
    kind = models.TextField()  # an open set: `github-repo`, `discord-channel`, …
    external_id = models.TextField()  # what the other platform calls it
    config = models.JSONField(default=dict, db_default={}, blank=True)  # whatever an adapter needs that is not secret
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = ResourceQuerySet.as_manager()

    class Meta:
        db_table = "resources"
        permissions = PERMISSIONS
        triggers = [forgotten_with("resources")]
        constraints = [
            models.UniqueConstraint(name="resources_house_id", fields=["house", "id"]),
            models.UniqueConstraint(name="one_resource_per_outside_thing", fields=["house", "kind", "external_id"]),
            HouseOwned(name="resources_stay_in_their_house"),
            Audited(name="resources_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name

    def change(
        self, *, name: str, kind: str, external_id: str, config: dict[str, Any] | None = None, by: Agent
    ) -> None:
        """Another name, another thing outside, or other particulars."""
        require_x(by)
        given = _checked(name, kind, external_id, config or {})
        hold(self)
        if changed(self, given):
            with taken_as(_known()):
                self.save(update_fields=[*given, "updated_at"])

    def remove(self, *, by: Agent) -> None:
        """Forget it here: what was granted on it, its bindings and its place in policies go along."""
        require_x(by)
        Resource.objects.filter(house_id=current_house(), pk=self.pk).delete()


def _checked(name: str, kind: str, external_id: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": line_of(name, "name", needed=True),
        "kind": word(kind, "kind"),
        "external_id": line_of(external_id, "external_id", 500, needed=True),
        "config": particulars(config, "config"),
    }


def _known() -> AlreadyKnown:
    return AlreadyKnown("This house already has a resource of that kind and id; change that one.")


scope("resource", Resource)

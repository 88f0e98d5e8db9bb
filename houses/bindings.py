"""Secret bindings: which credential serves which resources, and which agents may resolve it."""

from collections.abc import Iterable
from typing import Any, Self
from uuid import UUID

from django.db import models, transaction
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import NameTaken, NotFound
from houses.resources import Resource
from houses.saying import changed, hold, taken_as
from houses.secrets import Secret
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import line_of


class BindingQuerySet(models.QuerySet["SecretBinding"]):
    """The house's bindings."""

    def shown_to(self, agent: Agent) -> Self:
        """With who gets what, and of the resources those that the agent may read, at once for all."""
        seen = BoundResource.objects.filter(resource__in=Resource.objects.seen_by(agent)).select_related("resource")
        people = BoundAgent.objects.select_related("agent").order_by("agent__name", "agent_id")
        return self.select_related("secret").prefetch_related(
            models.Prefetch("bound_resources", seen.order_by("resource__name", "resource_id"), to_attr="seen"),
            models.Prefetch("bound_agents", people),
        )

    @transaction.atomic
    def create_in(
        self,
        house: House,
        name: str,
        *,
        secret: str,
        resources: Iterable[str] = (),
        agents: Iterable[UUID | str] = (),
        by: Agent,
    ) -> "SecretBinding":
        """A credential of the house, what it is for, and who gets it. Saying it twice does it once."""
        require_x(by)
        given, about, who = _checked(name, secret, resources, agents, by)
        same = self.filter(house=house, **given).first()
        if same is not None and (same.resource_ids, same.agent_ids) == (_ids(about), sorted(who)):
            return same
        with taken_as(_taken()):
            binding = self.create(house=house, **given)
        binding._bind(about, who, by)
        return binding


class SecretBinding(models.Model):
    """One credential, the resources it is for, and the agents who get it."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="secret_bindings")
    name = models.TextField()
    secret = models.ForeignKey(Secret, on_delete=models.DO_NOTHING, db_constraint=False, related_name="bindings")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = BindingQuerySet.as_manager()

    class Meta:
        db_table = "secret_bindings"
        constraints = [
            models.UniqueConstraint(name="secret_bindings_house_id", fields=["house", "id"]),
            models.UniqueConstraint(name="one_binding_per_name_and_house", fields=["house", "name"]),
            SameHouse(
                name="a_binding_is_for_a_secret_next_to_it",
                fields=("house", "secret"),
                to="houses.Secret",
                on_delete="cascade",
            ),
            HouseOwned(name="secret_bindings_stay_in_their_house"),
            Audited(name="secret_bindings_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def resource_ids(self) -> list[str]:
        """What the credential is for, by id."""
        return sorted(one.resource_id for one in self.bound_resources.all())

    @property
    def agent_ids(self) -> list[UUID]:
        """Who gets it, by id."""
        return sorted(one.agent_id for one in self.bound_agents.all())

    @transaction.atomic
    def change(
        self,
        *,
        name: str,
        secret: str,
        resources: Iterable[str] = (),
        agents: Iterable[UUID | str] = (),
        by: Agent,
    ) -> None:
        """Another credential, other resources, or others who get it."""
        require_x(by)
        given, about, who = _checked(name, secret, resources, agents, by)
        hold(self)
        if changed(self, given):
            with taken_as(_taken()):
                self.save(update_fields=[*given, "updated_at"])
        self._bind(about, who, by)

    def remove(self, *, by: Agent) -> None:
        """Nobody resolves the credential by it any more. The credential stays."""
        require_x(by)
        SecretBinding.objects.filter(house_id=current_house(), pk=self.pk).delete()

    def _bind(self, resources: list[Resource], agents: list[UUID], by: Agent) -> None:
        """Exactly these, of the resources that `by` may see; what they may not see stays as it is."""
        seen = Resource.objects.seen_by(by).values("pk")
        _match(self.bound_resources.filter(resource__in=seen), "resource_id", _ids(resources), self)
        _match(self.bound_agents.all(), "agent_id", agents, self)
        vars(self).pop("_prefetched_objects_cache", None)


def _match(rows: "models.QuerySet[Any]", column: str, wanted: Iterable[Any], binding: SecretBinding) -> None:
    there = set(rows.values_list(column, flat=True))
    rows.filter(**{f"{column}__in": there - set(wanted)}).delete()
    missing = [one for one in wanted if one not in there]
    rows.model._default_manager.bulk_create(
        rows.model(house_id=binding.house_id, binding=binding, **{column: one}) for one in missing
    )


def _checked(
    name: str, secret: str, resources: Iterable[str], agents: Iterable[UUID | str], by: Agent
) -> tuple[dict[str, Any], list[Resource], list[UUID]]:
    title = line_of(name, "name", needed=True)
    credential = Secret.objects.filter(house_id=current_house(), name=secret).first()
    if credential is None:
        raise NotFound("This house has no secret of that name; add it under Settings → Secrets.")
    wanted = {UUID(str(one)) for one in agents}
    who = sorted(Member.objects.filter(agent_id__in=wanted).values_list("agent_id", flat=True))
    if len(who) != len(wanted):
        raise NotFound("Nobody of that id is in this house.")
    return {"name": title, "secret": credential}, Resource.objects.chosen(resources, by=by), who


def _ids(resources: list[Resource]) -> list[str]:
    return sorted(one.pk for one in resources)


def _taken() -> NameTaken:
    return NameTaken("This house already has a binding of that name; change that one.")


class BoundResource(models.Model):
    """A resource that a credential is for."""

    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    binding = models.ForeignKey(
        SecretBinding, on_delete=models.CASCADE, db_constraint=False, related_name="bound_resources"
    )
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, db_constraint=False, related_name="bindings")

    class Meta:
        db_table = "secret_binding_resources"
        constraints = [
            models.UniqueConstraint(name="a_resource_is_bound_once", fields=["house", "binding", "resource"]),
            SameHouse(
                name="a_bound_resource_is_next_to_its_binding",
                fields=("house", "binding"),
                to="houses.SecretBinding",
                on_delete="cascade",
            ),
            SameHouse(
                name="a_bound_resource_is_of_the_house",
                fields=("house", "resource"),
                to="houses.Resource",
                on_delete="cascade",
            ),
            HouseOwned(name="bound_resources_stay_in_their_house"),
            Audited(name="bound_resources_are_audited"),
        ]

    def __str__(self) -> str:
        return f"{self.binding_id} for {self.resource_id}"


class BoundAgent(models.Model):
    """An agent who may resolve a credential."""

    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    binding = models.ForeignKey(
        SecretBinding, on_delete=models.CASCADE, db_constraint=False, related_name="bound_agents"
    )
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, db_constraint=False, related_name="+")

    class Meta:
        db_table = "secret_binding_agents"
        constraints = [
            models.UniqueConstraint(name="an_agent_is_bound_once", fields=["house", "binding", "agent"]),
            SameHouse(
                name="a_bound_agent_is_next_to_their_binding",
                fields=("house", "binding"),
                to="houses.SecretBinding",
                on_delete="cascade",
            ),
            SameHouse(
                name="a_bound_agent_is_a_member",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="bound_agents_stay_in_their_house"),
            Audited(name="bound_agents_are_audited"),
        ]

    def __str__(self) -> str:
        return f"{self.binding_id} for {self.agent_id}"

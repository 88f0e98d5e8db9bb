"""Activation policies: when a bot starts by itself. These are the rows; nothing fires yet."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.particulars import text_of
from houses.places import House, Member
from houses.refusals import Invalid, NotFound
from houses.resources import Resource
from houses.rights import permitted
from houses.scopes import KINDS, R
from houses.standing import require_own_w, require_x
from houses.tenancy import current_house
from houses.titles import one_line
from houses.tools import Tool
from houses.triggers import AMBIENT, GITHUB_EVENT, MENTION, STREAM_EVENT, checked_trigger, in_words


class PolicyQuerySet(models.QuerySet["ActivationPolicy"]):
    """The house's policies."""

    def shown_to(self, agent: Agent) -> Self:
        """With whom they start, and of the resources those that the agent may read, at once for all."""
        seen = PolicyResource.objects.filter(resource__in=Resource.objects.seen_by(agent)).select_related("resource")
        about = models.Prefetch("policy_resources", seen.order_by("resource__name", "resource_id"), to_attr="seen")
        return self.select_related("agent").prefetch_related(about)

    def of(self, agent: Agent) -> Self:
        return self.filter(agent=agent)

    def enabled(self) -> Self:
        return self.filter(enabled=True)

    @transaction.atomic
    def create_for(
        self,
        agent: Agent,
        *,
        trigger: str,
        config: dict[str, Any],
        name: str = "",
        resources: Iterable[str] = (),
        tools: Sequence[str] = (),
        enabled: bool = True,
        by: Agent,
    ) -> "ActivationPolicy":
        """Another reason for a bot of the house to start. Saying it twice does it once."""
        require_x(by)
        if not agent.is_bot:
            raise Invalid("agent: policies are for bots; people come by themselves.")
        if not Member.objects.filter(agent=agent).exists():
            raise NotFound("Nobody of that id is in this house.")
        given, about = _checked(trigger, config, name, resources, tools, by)
        given |= {"enabled": bool(enabled)}
        for same in self.filter(house_id=current_house(), agent=agent, **given):
            if same.resource_ids == sorted(one.pk for one in about):
                return same
        policy = self.create(house_id=current_house(), agent=agent, **given)
        policy._be_about(about, by)
        return policy


class ActivationPolicy(models.Model):
    """One reason for a bot to start: a trigger with its particulars, the resources it is about, the tools to use."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="policies")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, db_constraint=False, related_name="policies")
    name = models.TextField(default="", db_default="", blank=True)
    trigger = models.TextField()  # one of `TRIGGERS`, or another word
    config = models.JSONField(default=dict, db_default={}, blank=True)
    # Tools may be of the installation, so these are checked when they are written and looked up, not by a key.
    tool_ids = ArrayField(models.TextField(), default=list, db_default=[], blank=True)
    enabled = models.BooleanField(default=True, db_default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = PolicyQuerySet.as_manager()

    class Meta:
        db_table = "activation_policies"
        verbose_name_plural = "activation policies"
        constraints = [
            models.UniqueConstraint(name="activation_policies_house_id", fields=["house", "id"]),
            SameHouse(
                name="a_policy_is_a_members",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="activation_policies_stay_in_their_house"),
            Audited(name="activation_policies_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name or self.trigger

    @property
    def resource_ids(self) -> list[str]:
        """What it is about, by id."""
        return sorted(one.resource_id for one in self.policy_resources.all())

    @property
    def when(self) -> str:
        return in_words(self.trigger, self.config)

    @transaction.atomic
    def change(
        self,
        *,
        trigger: str,
        config: dict[str, Any],
        name: str = "",
        resources: Iterable[str] = (),
        tools: Sequence[str] = (),
        enabled: bool = True,
        by: Agent,
    ) -> None:
        """Another trigger, other particulars, or another aim."""
        require_x(by)
        given, about = _checked(trigger, config, name, resources, tools, by)
        given |= {"enabled": bool(enabled)}
        if any(getattr(self, field) != value for field, value in given.items()):
            for field, value in given.items():
                setattr(self, field, value)
            self.save(update_fields=[*given, "updated_at"])
        self._be_about(about, by)

    def switch(self, on: bool, *, by: Agent) -> None:
        """On or off. A bot can always be switched off by itself; on takes x on the house."""
        require_x(by) if on or by.pk != self.agent_id else require_own_w(by)
        if self.enabled != on:
            self.enabled = on
            self.save(update_fields=["enabled", "updated_at"])

    def remove(self, *, by: Agent) -> None:
        require_x(by)
        ActivationPolicy.objects.filter(house_id=current_house(), pk=self.pk).delete()

    def _be_about(self, resources: list[Resource], by: Agent) -> None:
        """Exactly these, of those that `by` may see; what they may not see stays as it is."""
        wanted, mine = {one.pk for one in resources}, self.policy_resources.all()
        seen = Resource.objects.seen_by(by).values("pk")
        mine.filter(resource__in=seen).exclude(resource__in=wanted).delete()
        there = set(mine.values_list("resource_id", flat=True))
        rows = (PolicyResource(house_id=self.house_id, policy=self, resource_id=pk) for pk in sorted(wanted - there))
        PolicyResource.objects.bulk_create(rows)
        vars(self).pop("_prefetched_objects_cache", None)


def _checked(
    trigger: str, config: dict[str, Any], name: str, resources: Iterable[str], tools: Sequence[str], by: Agent
) -> tuple[dict[str, Any], list[Resource]]:
    trigger, config = checked_trigger(trigger, config)
    _require_here(trigger, config, by)
    chosen = {one.pk for one in Tool.objects.chosen(tools, by=by)}
    given = {
        "name": one_line(text_of(name, "name", 200)),
        "trigger": trigger,
        "config": config,
        "tool_ids": [pk for pk in dict.fromkeys(tools) if pk in chosen],
    }
    return given, Resource.objects.chosen(resources, by=by)


def _require_here(trigger: str, config: dict[str, Any], by: Agent) -> None:
    """What a trigger points at is of this house, and `by` may read it."""
    if trigger == GITHUB_EVENT:
        Resource.objects.chosen([config["resource"]], by=by)
    if trigger == STREAM_EVENT and not _kept_streams().filter(pk=config["stream_id"]).exists():
        raise NotFound("config.stream_id: this house has no such stream.")
    if trigger in (MENTION, AMBIENT):
        wanted, there = set(config["scope_ids"]), set()
        for kind in KINDS.values():
            if kind.word in ("house", "thread") and wanted:
                rows = permitted(kind.model._default_manager.filter(pk__in=wanted), by, R)
                there |= set(rows.values_list("pk", flat=True))
        if wanted - there:
            raise NotFound("config.scope_ids: these are ids of threads, or of the house, and one of them is not here.")


def _kept_streams() -> "models.QuerySet[Any]":
    """Streams are kept above houses; their rows are of a house all the same."""
    return apps.get_model("streams", "Stream")._default_manager.filter(house_id=current_house())


class PolicyResource(models.Model):
    """A resource that a policy is about."""

    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    policy = models.ForeignKey(
        ActivationPolicy, on_delete=models.CASCADE, db_constraint=False, related_name="policy_resources"
    )
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, db_constraint=False, related_name="policies")

    class Meta:
        db_table = "activation_policy_resources"
        constraints = [
            models.UniqueConstraint(name="a_policy_names_a_resource_once", fields=["house", "policy", "resource"]),
            SameHouse(
                name="a_policys_resource_is_next_to_it",
                fields=("house", "policy"),
                to="houses.ActivationPolicy",
                on_delete="cascade",
            ),
            SameHouse(
                name="a_policys_resource_is_of_its_house",
                fields=("house", "resource"),
                to="houses.Resource",
                on_delete="cascade",
            ),
            HouseOwned(name="policy_resources_stay_in_their_house"),
            Audited(name="policy_resources_are_audited"),
        ]

    def __str__(self) -> str:
        return f"{self.policy_id} about {self.resource_id}"

"""Activation policies: when a bot starts by itself. These are the rows; nothing fires yet."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models.functions import Now

from houses.agents import Agent
from houses.aims import hidden_tools, require_here, restored, without
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.finding import member_named
from houses.ids import ShortIdField
from houses.places import House
from houses.refusals import Invalid
from houses.resources import Resource
from houses.saying import changed, hold, one_at_a_time
from houses.standing import require_own_w, require_x
from houses.tenancy import current_house
from houses.texts import line_of
from houses.tools import Tool
from houses.triggers import checked_trigger


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
        member_named(agent.pk)
        trigger, config = checked_trigger(trigger, config)
        require_here(trigger, config, by)
        about = Resource.objects.chosen(resources, by=by)
        given = _given(trigger, config, name, _chosen(tools, by), enabled)
        one_at_a_time("policies of", str(agent.pk))
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
        hold(self)
        unseen: set[str] = set()
        if trigger == self.trigger and isinstance(config, dict):
            config, unseen = restored(trigger, config, self.config, by)
        trigger, config = checked_trigger(trigger, config)
        require_here(trigger, without(trigger, config, unseen), by)
        about = Resource.objects.chosen(resources, by=by)
        stays = Tool.objects.filter(pk__in=hidden_tools(self.tool_ids, by)).order_by("pk")
        if changed(self, _given(trigger, config, name, [*_chosen(tools, by), *(tool.pk for tool in stays)], enabled)):
            self.save(update_fields=["name", "trigger", "config", "tool_ids", "enabled", "updated_at"])
        self._be_about(about, by)

    @transaction.atomic
    def switch(self, on: bool, *, by: Agent) -> None:
        """On or off. A bot can always be switched off by itself; on takes x on the house."""
        require_x(by) if on or by.pk != self.agent_id else require_own_w(by)
        hold(self)
        if changed(self, {"enabled": on}):
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


def _given(trigger: str, config: dict[str, Any], name: str, tools: list[str], enabled: bool) -> dict[str, Any]:
    name = line_of(name, "name")
    return {"name": name, "trigger": trigger, "config": config, "tool_ids": tools, "enabled": bool(enabled)}


def _chosen(tools: Iterable[str], by: Agent) -> list[str]:
    """Each once, in their order; all of them `by` may read."""
    wanted = list(dict.fromkeys(tools))
    Tool.objects.chosen(wanted, by=by)
    return wanted


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

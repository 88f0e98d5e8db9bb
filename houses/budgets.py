"""How much a run, a bot or a whole house may spend on models."""

from decimal import Decimal

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House, Member
from houses.refusals import Invalid, NotFound
from houses.saying import changed, one_at_a_time
from houses.standing import require_x
from houses.tenancy import current_house

LIMITS = ("run_tokens", "run_usd", "month_tokens", "month_usd")
MOST_TOKENS, MOST_USD, FINEST = 10**15, Decimal(10**5), Decimal("0.000001")


class BudgetQuerySet(models.QuerySet["Budget"]):
    """What was limited in the house."""

    def of(self, agent: Agent | None) -> "Budget | None":
        """That of a bot; without one, that of the house."""
        return self.filter(agent=agent).first()

    @transaction.atomic
    def limit(
        self,
        agent: Agent | None,
        *,
        run_tokens: int | None = None,
        run_usd: Decimal | None = None,
        month_tokens: int | None = None,
        month_usd: Decimal | None = None,
        by: Agent,
    ) -> "Budget":
        """Exactly these limits from now on, for a bot or the house; also for what goes on, which stops at them."""
        require_x(by)
        if agent is not None:
            _require_bot(agent)
        given = {
            "run_tokens": _tokens(run_tokens, "run_tokens"),
            "run_usd": _usd(run_usd, "run_usd"),
            "month_tokens": _tokens(month_tokens, "month_tokens"),
            "month_usd": _usd(month_usd, "month_usd"),
        }
        one_at_a_time("budget", str(agent.pk) if agent else "")
        budget = self.of(agent)
        if budget is None:
            return self.create(house_id=current_house(), agent=agent, **given)
        if changed(budget, given):
            budget.save(update_fields=[*given, "updated_at"])
        return budget


class Budget(models.Model):
    """Limits of a bot, or with no agent those of the house; both hold. Null is no limit."""

    id = ShortIdField()
    house = models.ForeignKey(
        House, on_delete=models.CASCADE, db_constraint=False, related_name="budgets", db_index=False
    )
    agent = models.ForeignKey(Agent, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="budgets")
    run_tokens = models.BigIntegerField(null=True, blank=True)
    run_usd = models.DecimalField(null=True, blank=True, max_digits=12, decimal_places=6)
    month_tokens = models.BigIntegerField(null=True, blank=True)  # calendar month, UTC
    month_usd = models.DecimalField(null=True, blank=True, max_digits=12, decimal_places=6)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = BudgetQuerySet.as_manager()

    class Meta:
        db_table = "budgets"
        constraints = [
            models.UniqueConstraint(
                name="one_budget_per_bot_and_house", fields=["house", "agent"], nulls_distinct=False
            ),
            models.CheckConstraint(
                name="a_budget_is_not_below_zero",
                condition=Q(*[Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0}) for name in LIMITS]),
            ),
            SameHouse(
                name="a_budget_is_a_members",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="budgets_stay_in_their_house"),
            Audited(name="budgets_are_audited"),
        ]

    def __str__(self) -> str:
        return str(self.agent) if self.agent_id else "the house"

    def lift(self, *, by: Agent) -> None:
        """No limits of its own from now on."""
        require_x(by)
        Budget.objects.filter(pk=self.pk).delete()


def _require_bot(agent: Agent) -> None:
    if not agent.is_bot:
        raise Invalid(f"{agent} is a person: what they ask of bots counts as the bots'.")
    if Member.objects.of(agent) is None:
        raise NotFound("Nobody of that id is in this house.")


def _tokens(most: int | None, name: str) -> int | None:
    if most is not None and not 0 <= most <= MOST_TOKENS:
        raise Invalid(f"{name}: this is a number of tokens, or nothing for no limit.")
    return most


def _usd(most: Decimal | None, name: str) -> Decimal | None:
    if most is None:
        return None
    if not most.is_finite() or not 0 <= most <= MOST_USD:
        raise Invalid(f"{name}: these are US dollars from 0 to {MOST_USD:,}, or nothing for no limit.")
    return most.quantize(FINEST)

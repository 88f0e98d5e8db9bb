"""What models have cost: one row for each run of a bot, and for each of its answers."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Count, Q, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from houses.agents import Agent
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.places import House
from houses.rights import here, may
from houses.scopes import X
from houses.tenancy import current_house
from threads.limits import Limit, OverBudget, limits_of, month_begins, month_of
from threads.thread import Thread
from threads.tokens import KINDS, Spent, Tokens

__all__ = ["Limit", "OverBudget", "Spending", "Spent", "Tokens", "month_of"]

BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM threads WHERE id = %s
    UNION
    SELECT lower.id FROM below JOIN threads lower ON lower.parent_thread_id = below.id
)
SELECT id FROM below
"""


class SpendingQuerySet(models.QuerySet["Spending"]):
    """What was spent in the house."""

    def note(self, run: Any, tokens: Tokens) -> None:
        """So much a run of a bot has spent until now; said again with more as it goes on, and with less never."""
        self.note_for(
            str(run.pk),
            run.thread,
            tokens,
            bot=run.bot,
            asked_by=run.agent,
            recipe=run.recipe or {},
        )

    def note_for(
        self, run: str, thread: Thread, tokens: Tokens, *, bot: Agent, asked_by: Agent, recipe: dict[str, Any]
    ) -> None:
        """The same for whatever asks a model: `recipe` is how the bot was set up for it, and says what is `above`."""
        usd, priced_by = tokens.cost(recipe.get("model", ""), recipe.get("address", ""))
        sums: dict[str, Any] = {f"{kind}_tokens": getattr(tokens, kind) for kind in KINDS}
        values = {**sums, "usd": usd, "priced_by": priced_by, "model": tokens.model or recipe.get("model", "")}
        here = {"house_id": current_house(), "run": run}
        before = {f"{name}__lte": count for name, count in sums.items()}
        if self.filter(**here, **before).update(**values):
            return
        row = Spending(thread=thread, agent=bot, asked_by=asked_by, above=recipe.get("above", ""), **here, **values)
        self.bulk_create([row], ignore_conflicts=True)

    def told(self, run: str) -> dict[str, Any]:
        """What one run has spent, as events say it."""
        return self.of_run(run).total().told()

    def require_left(self, bot: Agent, *, above: str = "", run: str = "") -> None:
        """Refuse to begin, or to go on, where a limit is reached. Raises `OverBudget`."""
        for limit in limits_of(bot, above=above, run=run):
            limit.require()

    def left(self, bot: Agent, *, above: str = "", run: str = "") -> list[Limit]:
        """Every limit that holds for the bot, or for one of its runs, with what is used of it; the tightest first."""
        return sorted(limits_of(bot, above=above, run=run), key=lambda limit: limit.share, reverse=True)

    # Which

    def of_run(self, run: str) -> Self:
        return self.filter(run=run)

    def of_thread(self, thread: Thread) -> Self:
        """Of a thread and everything below it."""
        return self.filter(thread__in=RawSQL(BELOW, [thread.pk]))  # noqa: S611  # a constant, with a parameter

    def of_bot(self, bot: Agent) -> Self:
        return self.filter(agent=bot)

    def since(self, at: datetime) -> Self:
        return self.filter(at__gte=at)

    def this_month(self) -> Self:
        return self.since(month_begins())

    def in_month(self, first: datetime) -> Self:
        after = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
        return self.filter(at__gte=first, at__lt=after)

    def readable_by(self, agent: Agent) -> Self:
        """What was spent in threads that the agent may read."""
        return self.filter(thread__in=Thread.objects.readable_by(agent).values("pk"))

    def visible_to(self, agent: Agent) -> Self:
        """Everything for whoever manages the house; for others, what was spent in threads that they may read."""
        return self.all() if may(agent, X, here()) else self.readable_by(agent)

    def are_all_seen_by(self, agent: Agent) -> bool:
        """Whether what is used of a limit tells the agent nothing of threads that they may not read."""
        return not self.this_month().exclude(pk__in=self.visible_to(agent).values("pk")).exists()

    # How much

    def total(self) -> Spent:
        """All of these together."""
        return Spent.of(self.aggregate(**SUMS))

    def by(self, column: str, values: Iterable[Any] | None = None) -> dict[Any, Spent]:
        """All of these together for each `agent_id`, `thread_id` or `run`; for lists of them one query is enough."""
        rows = self.filter(**{f"{column}__in": list(values)}) if values is not None else self
        return {row.pop(column): Spent.of(row) for row in rows.order_by().values(column).annotate(**SUMS)}


SUMS = {f"{kind}_sum": Sum(f"{kind}_tokens", default=0) for kind in KINDS} | {
    "usd_sum": Sum("usd"),
    "runs": Count("pk"),
    "unpriced": Count("pk", filter=Q(usd=None)),
}


class Spending(models.Model):
    """Tokens and US dollars of one run or answer (`run` is its id). `usd` is null where nobody knows the price."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="+", db_index=False)
    thread = models.ForeignKey(Thread, on_delete=models.DO_NOTHING, db_constraint=False, related_name="spendings")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+")  # the bot
    asked_by = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="+", db_index=False)
    run = models.TextField()
    above = models.TextField(default="", db_default="", blank=True)  # the run that delegated this one
    model = models.TextField(default="", db_default="", blank=True)
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    usd = models.DecimalField(null=True, max_digits=14, decimal_places=8)
    priced_by = models.TextField(default="", db_default="", blank=True)  # `program`, `genai-prices`, or nobody
    at = models.DateTimeField(db_default=Now())

    objects = SpendingQuerySet.as_manager()

    class Meta:
        db_table = "spendings"
        constraints = [
            models.UniqueConstraint(name="one_spending_per_run", fields=["house", "run"]),
            SameHouse(
                name="a_spending_is_of_its_houses_thread",
                fields=("house", "thread"),
                to="threads.Thread",
                on_delete="cascade",
            ),
            HouseOwned(name="spendings_stay_in_their_house"),
        ]
        indexes = [
            models.Index(fields=["house", "agent", "at"], name="spendings_of_a_bot"),
            models.Index(fields=["house", "at"], name="spendings_of_a_house"),
            models.Index(fields=["house", "above"], name="spendings_below_a_run", condition=~Q(above="")),
        ]

    def __str__(self) -> str:
        return f"{self.run}: {self.usd} USD"

    @property
    def spent(self) -> Spent:
        """What it says, as sums of many say it."""
        counts = {kind: getattr(self, f"{kind}_tokens") for kind in KINDS}
        return Spent(**counts, usd=self.usd, runs=1, unpriced=int(self.usd is None))

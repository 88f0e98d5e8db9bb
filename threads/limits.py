"""What a bot may still spend: its own limits, those of the house, and those of whoever handed the work on to it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.utils import timezone

from houses.agents import Agent
from houses.refusals import Refused
from houses.tenancy import current_house

# A run, and the runs and answers above it that handed it on; with the limits of each one's bot, and those of the house.
HELD = """
WITH RECURSIVE chain (run, bot, above, depth) AS (
    SELECT %(run)s::text, %(bot)s::uuid, %(above)s::text, 0
    UNION ALL
    SELECT chain.above, upper.bot, upper.above, chain.depth + 1 FROM chain JOIN LATERAL (
        SELECT bot_id AS bot, recipe->>'above' AS above FROM commands WHERE id = chain.above
        UNION ALL
        SELECT agent_id, recipe->>'above' FROM answers WHERE id = chain.above
    ) upper ON true WHERE chain.depth < 20
)
SELECT chain.run, chain.bot, chain.depth, agents.name, budgets.agent_id IS NULL,
       run_tokens, run_usd, month_tokens, month_usd
FROM chain JOIN budgets ON budgets.agent_id = chain.bot OR budgets.agent_id IS NULL
JOIN agents ON agents.id = chain.bot ORDER BY chain.depth, 5
"""
# What these runs, these bots this month, and the house have spent; each with everything that they handed on.
USED = """
WITH RECURSIVE below (whose, run, tokens, usd) AS (
    SELECT top.run, top.run, {tokens}, usd FROM unnest(%(runs)s::text[]) top (run)
    LEFT JOIN LATERAL (SELECT * FROM spendings WHERE house_id = %(house)s AND run = top.run) own ON true
    UNION
    SELECT agent_id::text, run, {tokens}, usd FROM spendings
    WHERE house_id = %(house)s AND agent_id = ANY (%(bots)s::uuid[]) AND at >= %(month)s
    UNION
    SELECT below.whose, lower.run, {tokens}, lower.usd FROM below
    JOIN spendings lower ON lower.house_id = %(house)s AND lower.above = below.run AND lower.above <> ''
)
SELECT whose, sum(tokens)::bigint, sum(usd) FROM below GROUP BY whose
UNION ALL
SELECT '', sum({tokens})::bigint, sum(usd) FROM spendings
WHERE %(of_house)s AND house_id = %(house)s AND at >= %(month)s HAVING count(*) > 0
""".format(tokens="input_tokens + output_tokens + cache_read_tokens + cache_write_tokens")  # noqa: S608  # constants


class OverBudget(Refused):
    """A limit is reached: what goes on stops, and nothing new begins."""

    code = "budget"


@dataclass(frozen=True)
class Limit:
    """One limit that holds for somebody. What is above a run is limited together with what it hands on."""

    whose: str  # `run`, `run_above`, `bot` or `house`
    bot: str
    unit: str  # `tokens` or `usd`
    most: Decimal
    used: Decimal
    by_house: bool  # it is the house's limit, not the bot's own

    @property
    def left(self) -> Decimal:
        return max(Decimal(), self.most - self.used)

    @property
    def share(self) -> float:
        """How much of it is used, of 1."""
        return float(self.used / self.most) if self.most else 1.0

    def require(self) -> None:
        """Refuse whoever has reached it. Raises `OverBudget`."""
        if self.used >= self.most:
            raise OverBudget(f"{self}; whoever manages the house can change that under Settings → Agents.")

    def __str__(self) -> str:
        may = "one run may use in this house" if self.by_house else f"one run of {self.bot} may use"
        return {
            "run": f"This run has used {self._amounts} that {may}",
            "run_above": f"The run of {self.bot} that handed this on has used, with all it handed on, "
            f"{self._amounts} that {may}",
            "bot": f"{self.bot} has used {self._amounts} that it may use in a month",
            "house": f"This house has used {self._amounts} that it may use in a month",
        }[self.whose]

    @property
    def _amounts(self) -> str:
        if self.unit == "tokens":
            return f"{self.used:,.0f} of the {self.most:,.0f} tokens"
        return f"{_dollars(self.used)} of the {_dollars(self.most)}"


def limits_of(bot: Agent, *, above: str = "", run: str = "") -> list[Limit]:
    """Every limit that holds for the bot, or for one of its runs. Two queries; one where nothing is limited."""
    with connection.cursor() as cursor:
        cursor.execute(HELD, {"run": run, "bot": bot.pk, "above": above})
        held = cursor.fetchall()
    if not held:
        return []
    used = _used(
        runs=[row[0] for row in held if row[0] and _limits(row[5:7])],
        bots=[row[1] for row in held if not row[4] and _limits(row[7:9])],
        of_house=any(row[4] and _limits(row[7:9]) for row in held),
    )
    found = [limit for row in held for limit in _of_row(row, used)]
    return list(dict.fromkeys(found))  # a bot that hands on to itself, and the house, come once


def month_begins() -> datetime:
    """The first moment of this calendar month, UTC."""
    return timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_of(text: str) -> datetime:
    """The first moment of a month like `2027-01`."""
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)


def _used(runs: list[str], bots: list[Any], of_house: bool) -> dict[str, tuple[Decimal, Decimal]]:
    values: dict[str, Any] = {
        "runs": runs,
        "bots": bots,
        "of_house": of_house,
        "house": current_house(),
        "month": month_begins(),
    }
    with connection.cursor() as cursor:
        cursor.execute(USED, values)
        return {whose: (Decimal(tokens or 0), usd or Decimal()) for whose, tokens, usd in cursor.fetchall()}


def _of_row(row: tuple[Any, ...], used: dict[str, tuple[Decimal, Decimal]]) -> list[Limit]:
    run, bot, depth, name, by_house, *most = row
    places = [("run_above" if depth else "run", run)] * 2
    places += [("house", "") if by_house else ("bot", str(bot))] * 2
    nothing = (Decimal(), Decimal())
    return [
        Limit(
            whose,
            "" if whose == "house" else name or str(bot),
            unit,
            Decimal(limit),
            used.get(key, nothing)[at],
            by_house,
        )
        for (whose, key), (at, unit), limit in zip(places, [(0, "tokens"), (1, "usd")] * 2, most, strict=True)
        if limit is not None and (key or whose == "house")
    ]


def _limits(row: tuple[Any, ...]) -> bool:
    return any(limit is not None for limit in row)


def _dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"

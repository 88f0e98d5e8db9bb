"""A plan as people see it before it starts: what each step runs or whom it asks, why, and what that took before."""

from collections.abc import Iterable
from typing import Any

from artifacts.plan import Plan
from artifacts.recipes import is_task
from artifacts.steps import Step
from threads.spending import Spending
from threads.tokens import KINDS, Spent

COUNTED = (*KINDS, "runs", "unpriced")


def described(plan: Plan) -> list[dict[str, Any]]:
    """The steps of a plan as an event and the API carry them."""
    before = spent_before(plan.steps)
    return [_described(step, before[step.key]) for step in plan.steps]


def _described(step: Step, before: Spent) -> dict[str, Any]:
    told: dict[str, Any] = {
        "outputs": list(step.outputs),
        "command": step.headline,
        "reasons": [str(reason) for reason in step.reasons],
    }
    if is_task(step.recipe):
        told |= {"bot": step.recipe.get("bot") or None, "tokens": before.tokens, "usd": before.told()["usd"]}
    return told


def spent_before(steps: Iterable[Step]) -> dict[str, Spent]:
    """What models cost the last time each of these was done, by the key of the step."""
    steps = list(steps)
    runs = [run for step in steps if is_task(step.recipe) for run in step.runs]
    known = Spending.objects.by("run", runs) if runs else {}
    return {step.key: together(known[run] for run in step.runs if run in known) for step in steps}


def together(several: Iterable[Spent]) -> Spent:
    """All of them as one."""
    several = list(several)
    usd = [one.usd for one in several if one.usd is not None]
    kinds = {kind: sum(getattr(one, kind) for one in several) for kind in COUNTED}
    return Spent(**kinds, usd=sum(usd[1:], usd[0]) if usd else None)

"""Rights in words: one sentence that says whether somebody may, and where that comes from; and who may what here.

Everybody on one scope costs as many queries as somebody does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from houses.agents import Agent
from houses.rights import Right, beyond, by_role, held, here, right, rights
from houses.scopes import NONE, R, Scope, W, kind_of
from houses.tenancy import current_house

Names = Mapping[object, str]


@dataclass(frozen=True)
class Line:
    """What somebody may on a scope, in a table of everybody; `explicit` is what was granted right here, if anything."""

    agent: Agent
    bits: str
    explicit: str
    origin: str


def explain(agent: Agent, bit: str, scope: Scope, *, to: Agent | None = None) -> str:
    """One sentence: whether the agent may, and where that comes from, who granted it, when.

    With `to`, nothing is named that they may not read.
    """
    one = right(agent, scope)
    if one.role and bit not in one.bits and bit not in agent.cap:
        return f"no: the token that asks may only {agent.cap or 'nothing'}."
    if one.role and beyond(agent, kind_of(scope), [scope.pk]):
        return "no: the token that asks is that of a run, which reaches its own thread and what is below it."
    if one.role and bit == W and agent.within and not kind_of(scope).parent:
        return "no: the token that asks is that of a run, which writes in its own thread and what is below it alone."
    answer = "yes" if bit in one.bits else "no"
    return f"{answer}: {_origin(agent, scope, one, _named(scope, [one], to))}"


def everybody(scope: Scope, agents: Iterable[Agent]) -> dict[UUID, Right]:
    """What each of these agents may here, by id. Whoever is not in the house has nothing."""
    return {agent: one for (agent, _), one in held(agents, [scope]).items()}


def lines(scope: Scope, agents: Iterable[Agent], *, to: Agent | None = None) -> list[Line]:
    """A table of these agents; with `to`, nothing is named that they may not read."""
    agents = list(agents)
    found = everybody(scope, agents)
    names = _named(scope, found.values(), to)
    return [_line(agent, scope, found[agent.pk], names) for agent in agents]


def _line(agent: Agent, scope: Scope, one: Right, names: Names) -> Line:
    explicit = (one.bits or NONE) if one.place == scope.pk else ""
    return Line(agent, one.bits, explicit, _origin(agent, scope, one, names))


def _origin(agent: Agent, scope: Scope, one: Right, names: Names) -> str:
    if agent.oversees:
        return f"{agent} acts as an operator of this installation."
    if not one.role:
        return f"{agent} is not in this house, or was shut out of this installation."
    if one.place is None:
        return f"{by_role(one.role, kind_of(scope))} as {one.role} of this house, where nothing else is granted."
    when, who = f"{one.at:%-d %B %Y}" if one.at else "an unknown day", names.get(one.by, "somebody who has gone")
    return f"{one.bits or NONE} from {names[one.place]}, granted by {who} on {when}."


def _named(scope: Scope, several: Iterable[Right], to: Agent | None) -> dict[object, str]:
    several, kind = list(several), kind_of(scope)
    givers = Agent.objects.filter(pk__in={one.by for one in several if one.by})
    names: dict[object, str] = {giver.pk: str(giver) for giver in givers}
    names[scope.pk] = f"{kind.word} “{scope}”"
    places = {one.place for one in several if one.place} - {scope.pk}
    if current_house() in places:
        house = here()
        house.refresh_from_db()
        names[house.pk] = f"house “{house}”"
    above = list(kind.model._default_manager.filter(pk__in=places - {current_house()}))
    seen = rights(to, above) if to else {}
    for row in above:
        hidden = to and R not in seen[row.pk].bits
        names[row.pk] = f"a {kind.word} you cannot see" if hidden else f"{kind.word} “{row}”"
    return names

"""Rights in words: one sentence that says whether somebody may, and where that comes from; and who may what here.

Everybody on one scope costs as many queries as somebody does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from houses.agents import Agent
from houses.rights import Right, by_role, house_here, right, rights
from houses.scopes import NONE, R, Scope, as_bits, kind_of
from houses.tenancy import current_house

# Of each of these agents, the grant that is nearest to one scope.
NEAREST = """
WITH RECURSIVE chain (place, above, depth) AS (
    SELECT id, {above}, 0 FROM {table} WHERE id = %(scope)s
    UNION ALL
    SELECT upper.id, {upper}, chain.depth + 1 FROM chain JOIN {table} upper ON upper.id = chain.above
), places AS (
    SELECT place, depth FROM chain UNION ALL SELECT %(house)s, 2147483647
), given AS (
    SELECT user_id, object_pk::text AS place, string_agg(permission.codename, '') AS bits,
           (array_agg(granted_by_id ORDER BY granted_at DESC))[1] AS by, max(granted_at) AS at
    FROM grants JOIN auth_permission permission ON permission.id = permission_id
    WHERE house_id = %(house)s AND object_pk IN (SELECT place FROM places) GROUP BY user_id, object_pk
), nearest AS (
    SELECT DISTINCT ON (user_id) user_id, place, bits, by, at FROM given JOIN places USING (place)
    ORDER BY user_id, depth
)
SELECT member.agent_id, member.role, agent.is_active, place, bits, by, at
FROM members member JOIN agents agent ON agent.id = member.agent_id LEFT JOIN nearest ON user_id = agent_id
WHERE member.house_id = %(house)s AND member.agent_id = ANY(%(agents)s)
"""
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
    answer = "yes" if bit in one.bits else "no"
    return f"{answer}: {_origin(agent, scope, one, _named(scope, [one], to))}"


def everybody(scope: Scope, agents: Iterable[Agent]) -> dict[UUID, Right]:
    """What each of these agents may here, by id. Whoever is not in the house has nothing."""
    kind, agents = kind_of(scope), list(agents)
    above, upper = (kind.parent, f"upper.{kind.parent}") if kind.parent else ("NULL::text", "NULL::text")
    values: dict[str, Any] = {"scope": scope.pk, "house": current_house(), "agents": [agent.pk for agent in agents]}
    with connection.cursor() as cursor:
        cursor.execute(NEAREST.format(table=kind.table, above=above, upper=upper), values)
        rows = cursor.fetchall()
    found = {agent.pk: Right("") for agent in agents}
    for agent_id, role, is_active, place, bits, by, at in rows:
        if is_active and place is None:
            found[agent_id] = Right(by_role(role, kind), role)
        elif is_active:
            found[agent_id] = Right("" if NONE in bits else as_bits(bits), role, place, by, at)
    return found


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
        names[current_house()] = f"house “{house_here()}”"
    above = list(kind.model._default_manager.filter(pk__in=places - {current_house()}))
    seen = rights(to, above) if to else {}
    for row in above:
        hidden = to and R not in seen[row.pk].bits
        names[row.pk] = f"a {kind.word} you cannot see" if hidden else f"{kind.word} “{row}”"
    return names

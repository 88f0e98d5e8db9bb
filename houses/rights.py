"""One question for people and bots: what may this agent do here, and why?

The nearest scope with an explicit grant decides, `none` included: the thing itself, then what is above it, then the
house. Without any, the role in the house does: owners have rwx; members have rw, and x on tools. Whoever is not in the
house, or was shut out of this installation, has nothing. A token can have fewer bits than its agent, never more; and
for that of a run there are no threads but its own and those below, and nothing to write in but those.

Every question here is about the house we are inside of. It costs one query for an agent who was granted nothing
anywhere, and two otherwise, however many scopes are asked about.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from houses.agents import Agent
from houses.refusals import Forbidden, NotFound
from houses.scopes import ALL, KINDS, NONE, Kind, R, Scope, W, X, as_bits, kind_named, kind_of
from houses.tenancy import current_house

Row = TypeVar("Row", bound=Model)
OWNER, MEMBER, STRANGER = "owner", "member", ""

STANDING = """
SELECT member.agent_id, member.role, EXISTS (
    SELECT 1 FROM grants WHERE house_id = member.house_id AND user_id = member.agent_id)
FROM members member JOIN agents agent ON agent.id = member.agent_id
WHERE member.house_id = %(house)s AND member.agent_id = ANY(%(agents)s) AND agent.is_active
"""
# Where each scope is: itself at depth 0, then what is above it; the house comes last of all. Of what each agent was
# given at those places, the nearest.
NEAREST = """
WITH RECURSIVE chain (scope, place, above, depth) AS (
    SELECT id, id, {above}, 0 FROM {table} WHERE id = ANY(%(scopes)s::text[])
    UNION ALL
    SELECT chain.scope, upper.id, {upper}, chain.depth + 1 FROM chain JOIN {table} upper ON upper.id = chain.above
), places AS (
    SELECT scope, place, depth FROM chain
    UNION ALL SELECT unnest(%(scopes)s::text[]), %(house)s, 2147483647
), given AS (
    SELECT user_id, object_pk::text AS place, string_agg(permission.codename, '') AS bits,
           (array_agg(granted_by_id ORDER BY granted_at DESC))[1] AS by, max(granted_at) AS at
    FROM grants JOIN auth_permission permission ON permission.id = permission_id
    WHERE house_id = %(house)s AND user_id = ANY(%(agents)s) AND object_pk IN (SELECT place FROM places)
    GROUP BY user_id, object_pk
)
SELECT DISTINCT ON (user_id, scope) user_id, scope, place, bits, by, at
FROM places JOIN given USING (place) ORDER BY user_id, scope, depth
"""
# What was granted on scopes of a kind, and everything below them down to the next grant.
BELOW = """
WITH RECURSIVE given (id, bits) AS (
    SELECT object_pk::text, array_agg(permission.codename::text)
    FROM grants JOIN auth_permission permission ON permission.id = permission_id
    WHERE house_id = %s AND user_id = %s AND object_pk <> house_id GROUP BY object_pk
), below (id, bits) AS (
    SELECT id, bits FROM given
    UNION ALL
    SELECT lower.id, below.bits FROM below JOIN {table} lower ON lower.{above} = below.id
    WHERE lower.id NOT IN (SELECT id FROM given)
)
SELECT id FROM below WHERE {test}
"""
# A thread and everything below it.
WITHIN = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM {table} WHERE id = %s
    UNION
    SELECT lower.id FROM below JOIN {table} lower ON lower.{above} = below.id
)
SELECT id FROM below
"""


@dataclass(frozen=True)
class Right:
    """What an agent may do on one scope, and where that comes from."""

    bits: str
    role: str = STRANGER
    place: str | None = None  # the id of the scope that was granted; None if the role decides
    by: UUID | None = None
    at: datetime | None = None


def may(agent: Agent, bit: str, scope: Scope) -> bool:
    """Whether the agent may do that here, in the house we are inside of."""
    return bit in rights(agent, [scope])[scope.pk].bits


def require(agent: Agent, bit: str, scope: Scope) -> None:
    """Refuse whoever may not. What somebody may not even read is not there for them."""
    bits = rights(agent, [scope])[scope.pk].bits
    if bit not in bits:
        raise refusal(bits, bit, scope)


def manages(agent: Agent, scope: Scope) -> bool:
    """Whether the agent has x on the house, which nobody is locked out of from below, or x on this house or thread."""
    if kind_of(scope).is_managed_here and may(agent, X, scope):
        return True
    return not _is_elsewhere(scope) and may(agent, X, here())


def require_to_manage(agent: Agent, scope: Scope) -> None:
    """Refuse whoever does not manage this."""
    if manages(agent, scope):
        return
    bits = right(agent, scope).bits
    if R in bits and not kind_of(scope).is_managed_here:
        raise Forbidden("Only an owner of this house, or somebody with x on it, can do that.")
    raise refusal(bits, X, scope)


def right(agent: Agent, scope: Scope) -> Right:
    """What the agent may do here, and why."""
    return rights(agent, [scope])[scope.pk]


def rights(agent: Agent, scopes: Iterable[Scope]) -> dict[str, Right]:
    """What the agent may do on each of these scopes, by id. For whoever was granted something, a kind is a query."""
    scopes = list(scopes)
    if agent.oversees or not scopes:
        return {scope.pk: Right(ALL, OWNER) for scope in scopes}
    return {pk: one for (_, pk), one in held([agent], scopes).items()}


def held(agents: Iterable[Agent], scopes: Iterable[Scope]) -> dict[tuple[UUID, str], Right]:
    """What each of these agents may on each of these scopes. Whoever is not in the house has nothing."""
    agents, scopes = list(agents), list(scopes)
    standing = _standing(agents)
    found: dict[tuple[UUID, str], Right] = {}
    for kind in {kind_of(scope) for scope in scopes}:
        ids = [scope.pk for scope in scopes if kind_of(scope) == kind]
        nearest = _nearest([pk for pk, (_, granted) in standing.items() if granted], kind, ids)
        for agent in agents:
            role, _ = standing.get(agent.pk, (STRANGER, False))
            away = beyond(agent, kind, ids)
            for pk in ids:
                one = nearest.get((agent.pk, pk), Right(by_role(role, kind)))
                bits = "" if pk in away else _let_through(agent, one.bits, kind)
                found[agent.pk, pk] = replace(one, role=role, bits=bits)
    elsewhere = [scope.pk for scope in scopes if _is_elsewhere(scope)]
    return found | {(agent.pk, pk): Right("") for agent in agents for pk in elsewhere}


def permitted(rows: QuerySet[Row], agent: Agent, bit: str = R) -> QuerySet[Row]:
    """Those of these rows, which are scopes, on which the agent has the bit; itself no more than a part of a query."""
    if agent.oversees:
        return rows
    kind = KINDS[rows.model]
    role, granted = _standing([agent]).get(agent.pk, (STRANGER, False))
    if not role or not _let_through(agent, bit, kind):
        return rows.none()
    if agent.within and kind.parent:
        rows = rows.filter(pk__in=RawSQL(_within(kind), [agent.within]))  # noqa: S611  # of our own names
    if not granted:
        return rows if bit in by_role(role, kind) else rows.none()
    house = _nearest([agent.pk], kind, [current_house()]).get((agent.pk, current_house()))
    otherwise = bit in (house.bits if house else by_role(role, kind))
    test = f"NOT ('{bit}' = ANY(bits))" if otherwise else f"'{bit}' = ANY(bits)"
    ids = RawSQL(  # noqa: S611  # the names are those of our own models, the values are parameters
        BELOW.format(table=kind.table, above=kind.parent or "id", test=test), (current_house(), agent.pk)
    )
    return rows.exclude(pk__in=ids) if otherwise else rows.filter(pk__in=ids)


def beyond(agent: Agent, kind: Kind, ids: Iterable[str]) -> set[str]:
    """Those of these ids that a run's token does not reach, whatever its agent may: threads outside of its own."""
    if not agent.within or not kind.parent:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_within(kind), [agent.within])
        return set(ids) - {pk for (pk,) in cursor.fetchall()}


def unseen(word: str, ids: Iterable[str], agent: Agent) -> set[str]:
    """Those of these ids, of scopes of one kind, that stand for something the agent may not read."""
    kind = kind_named(word)
    assert kind is not None
    found = rights(agent, [kind.model(pk=one) for one in ids])
    return {one for one, right in found.items() if R not in right.bits}


def capped(agent: Agent, bits: str) -> str:
    """No more than the credential lets through that the agent came in with."""
    return "".join(bit for bit in bits if bit in agent.cap)


def _let_through(agent: Agent, bits: str, kind: Kind) -> str:
    """As far as its credential goes. That of a run writes in its threads alone: what it reads may have talked it over.

    And the agent of a bot's run, whose token has no x, calls the tools that it has x on.
    """
    if agent.within and not kind.parent:
        bits = bits.replace(W, "")
    return "".join(bit for bit in bits if bit in agent.cap or (agent.calls and bit == X and kind.word == "tool"))


def refusal(bits: str, bit: str, scope: Scope) -> NotFound | Forbidden:
    """The answer to whoever has these bits here, and not that one."""
    return Forbidden(kind_of(scope).refused(bit)) if R in bits else NotFound()


def by_role(role: str, kind: Kind) -> str:
    """What a role comes with where nothing is granted."""
    if role == OWNER:
        return ALL
    if role == MEMBER:
        return ALL if kind.word == "tool" else R + W
    return ""


def role_of(agent: Agent) -> str:
    """The agent's role in the house we are inside of; none for whoever is not in it, or was shut out."""
    return _standing([agent]).get(agent.pk, (STRANGER, False))[0]


def here() -> Any:
    """The house we are inside of, as a scope: its id and nothing else."""
    kind = kind_named("house")
    assert kind is not None
    return kind.model(pk=current_house())


def _standing(agents: list[Agent]) -> dict[UUID, tuple[str, bool]]:
    """Their roles in the house we are inside of, and whether anything was granted to them in it."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING, {"house": current_house(), "agents": [agent.pk for agent in agents]})
        return {agent: (role, granted) for agent, role, granted in cursor.fetchall()}


def _is_elsewhere(scope: Scope) -> bool:
    """Whoever holds a row of another house came by it outside of this one; here it is nothing."""
    own = scope.pk if kind_of(scope).word == "house" else getattr(scope, "house_id", None)
    return own not in (None, current_house())


def _nearest(agents: list[UUID], kind: Kind, ids: list[str]) -> dict[tuple[UUID, str], Right]:
    if not agents:
        return {}
    above, upper = (kind.parent, f"upper.{kind.parent}") if kind.parent else ("NULL::text", "NULL::text")
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"scopes": ids, "house": current_house(), "agents": agents}
        cursor.execute(NEAREST.format(table=kind.table, above=above, upper=upper), values)
        rows = cursor.fetchall()
    return {
        (agent, scope): Right("" if NONE in bits else as_bits(bits), "", place, by, at)
        for agent, scope, place, bits, by, at in rows
    }


def _within(kind: Kind) -> str:
    return WITHIN.format(table=kind.table, above=kind.parent)

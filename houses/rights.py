"""One question for people and bots: what may this agent do here, and why?

The nearest scope with an explicit grant decides, `none` included: the thing itself, then what is above it, then the
house. Without any, the role in the house does: owners have rwx; members have rw, and x on tools. Whoever is not in the
house, or was shut out of this installation, has nothing. A token can have fewer bits than its agent, never more.

Every question here is about the house we are inside of. It costs one query for an agent who was granted nothing
anywhere, and two otherwise, however many scopes are asked about.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from houses.agents import Agent
from houses.grants import Grant
from houses.refusals import Forbidden, Invalid, NotFound
from houses.scopes import ALL, KINDS, NONE, Kind, R, Scope, W, X, as_bits, kind_named, kind_of
from houses.tenancy import current_house

Row = TypeVar("Row", bound=Model)
WORDS = {R: "read", W: "change", X: "manage or run"}
OWNER, MEMBER, STRANGER = "owner", "member", ""

STANDING = """
SELECT member.role, agent.is_active, EXISTS (
    SELECT 1 FROM grants WHERE house_id = member.house_id AND user_id = member.agent_id)
FROM members member JOIN agents agent ON agent.id = member.agent_id
WHERE member.house_id = %(house)s AND member.agent_id = %(agent)s
"""
# Where each scope is: itself at depth 0, then what is above it. The house comes last of all.
CHAIN = """
WITH RECURSIVE chain (scope, place, above, depth) AS (
    SELECT id, id, {above}, 0 FROM {table} WHERE id = ANY(%(scopes)s::text[])
    UNION ALL
    SELECT chain.scope, upper.id, {upper}, chain.depth + 1 FROM chain JOIN {table} upper ON upper.id = chain.above
), places AS (
    SELECT scope, place, depth FROM chain
    UNION ALL SELECT unnest(%(scopes)s::text[]), %(house)s, 2147483647
), given AS (
    SELECT object_pk::text, string_agg(permission.codename, '') AS bits,
           (array_agg(granted_by_id ORDER BY granted_at DESC))[1] AS by, max(granted_at) AS at
    FROM grants JOIN auth_permission permission ON permission.id = permission_id
    WHERE house_id = %(house)s AND user_id = %(agent)s GROUP BY object_pk
)
SELECT DISTINCT ON (scope) scope, place, given.bits, given.by, given.at
FROM places JOIN given ON given.object_pk = places.place ORDER BY scope, depth
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


MANAGERS = """
SELECT 1 FROM members member JOIN agents agent ON agent.id = member.agent_id
WHERE house_id = %(house)s AND role = 'owner' AND agent.is_active AND (
    NOT EXISTS (SELECT 1 FROM grants WHERE house_id = %(house)s AND user_id = member.agent_id AND object_pk = %(house)s)
    OR EXISTS (
        SELECT 1 FROM grants JOIN auth_permission permission ON permission.id = permission_id
        WHERE house_id = %(house)s AND user_id = member.agent_id AND object_pk = %(house)s AND codename = 'x'))
LIMIT 1
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
        raise _refusal(bits, bit, scope)


def manages(agent: Agent, scope: Scope) -> bool:
    """Whether the agent has x here or on the house: an owner cannot be locked out from below."""
    return may(agent, X, scope) or (not _is_elsewhere(scope) and may(agent, X, house_here()))


def require_to_manage(agent: Agent, scope: Scope) -> None:
    """Refuse whoever does not manage this."""
    if not manages(agent, scope):
        raise _refusal(right(agent, scope).bits, X, scope)


def right(agent: Agent, scope: Scope) -> Right:
    """What the agent may do here, and why."""
    return rights(agent, [scope])[scope.pk]


def rights(agent: Agent, scopes: Iterable[Scope]) -> dict[str, Right]:
    """What the agent may do on each of these scopes, by id. For whoever was granted something, a kind is a query."""
    scopes = list(scopes)
    if agent.oversees or not scopes:
        return {scope.pk: Right(ALL, OWNER) for scope in scopes}
    role, granted = _standing(agent)
    found: dict[str, Right] = {}
    for kind in {kind_of(scope) for scope in scopes}:
        ids = [scope.pk for scope in scopes if kind_of(scope) == kind]
        found |= dict.fromkeys(ids, Right(capped(agent, by_role(role, kind)), role))
        if granted and role:
            found |= _granted(agent, role, kind, ids)
    return found | {scope.pk: Right("") for scope in scopes if _is_elsewhere(scope)}


def permitted(rows: QuerySet[Row], agent: Agent, bit: str = R) -> QuerySet[Row]:
    """Those of these rows, which are scopes, on which the agent has the bit; itself no more than a part of a query."""
    if agent.oversees:
        return rows
    kind = KINDS[rows.model]
    role, granted = _standing(agent)
    if not role or bit not in agent.cap:
        return rows.none()
    if not granted:
        return rows if bit in by_role(role, kind) else rows.none()
    house = _granted(agent, role, kind, [current_house()]).get(current_house())
    otherwise = bit in (house.bits if house else by_role(role, kind))
    test = f"NOT ('{bit}' = ANY(bits))" if otherwise else f"'{bit}' = ANY(bits)"
    ids = RawSQL(  # noqa: S611  # the names are those of our own models, the values are parameters
        BELOW.format(table=kind.table, above=kind.parent or "id", test=test), (current_house(), agent.pk)
    )
    return rows.exclude(pk__in=ids) if otherwise else rows.filter(pk__in=ids)


def unseen(word: str, ids: Iterable[str], agent: Agent) -> set[str]:
    """Those of these ids, of scopes of one kind, that stand for something the agent may not read."""
    kind = kind_named(word)
    assert kind is not None
    found = rights(agent, [kind.model(pk=one) for one in ids])
    return {one for one, right in found.items() if R not in right.bits}


@transaction.atomic
def give(agent: Agent, scope: Scope, bits: str, *, by: Agent) -> None:
    """Let an agent of the house do exactly this here, or nothing (`none`), whatever holds above."""
    require_to_manage(by, scope)
    if bits != NONE and (not bits or as_bits(bits) != bits):
        raise Invalid("A grant is some of r, w and x, in that order, or none.")
    role, _ = _standing(agent)
    if not role:
        raise NotFound("Nobody of that id is in this house.")
    lock_grants(scope)
    Grant.objects.replace(agent, scope, bits)
    if role == OWNER and X not in bits and kind_of(scope).word == "house":
        keep_a_manager()


@transaction.atomic
def withdraw(agent: Agent, scope: Scope, *, by: Agent) -> None:
    """Let what holds above hold here again."""
    require_to_manage(by, scope)
    lock_grants(scope)
    Grant.objects.replace(agent, scope, "")


def lock_grants(scope: Scope) -> None:
    """One at a time changes what is granted on a scope, and one at a time who manages the house."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", [f"{current_house()} {scope.pk}"])


def keep_a_manager() -> None:
    """Somebody must be able to put right what was granted: an owner who has x on the house. Else it is refused."""
    with connection.cursor() as cursor:
        cursor.execute(MANAGERS, {"house": current_house()})
        if cursor.fetchone() is None:
            raise Forbidden("A house keeps at least one owner who can manage it; that would leave none.")


def capped(agent: Agent, bits: str) -> str:
    """No more than the credential lets through that the agent came in with."""
    return "".join(bit for bit in bits if bit in agent.cap)


def _refusal(bits: str, bit: str, scope: Scope) -> NotFound | Forbidden:
    if R not in bits:
        return NotFound()
    kind = kind_of(scope)
    if kind.word == "house" and bit == X:
        return Forbidden("Only an owner of this house, or somebody with x on it, can do that.")
    return Forbidden(
        f"You may not {WORDS[bit]} this {kind.word}: that takes {bit}, which somebody with x on the house can grant."
    )


def by_role(role: str, kind: Kind) -> str:
    """What a role comes with where nothing is granted."""
    if role == OWNER:
        return ALL
    if role == MEMBER:
        return ALL if kind.word == "tool" else R + W
    return ""


def _standing(agent: Agent) -> tuple[str, bool]:
    """The agent's role in the house we are inside of, and whether anything was granted to them in it."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING, {"house": current_house(), "agent": agent.pk})
        found = cursor.fetchone()
    if found is None or not found[1]:
        return STRANGER, False
    return found[0], found[2]


def _is_elsewhere(scope: Scope) -> bool:
    """Whoever holds a row of another house came by it outside of this one; here it is nothing."""
    own = scope.pk if kind_of(scope).word == "house" else getattr(scope, "house_id", None)
    return own not in (None, current_house())


def _granted(agent: Agent, role: str, kind: Kind, ids: list[str]) -> dict[str, Right]:
    above, upper = (kind.parent, f"upper.{kind.parent}") if kind.parent else ("NULL::text", "NULL::text")
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"scopes": ids, "house": current_house(), "agent": agent.pk}
        cursor.execute(CHAIN.format(table=kind.table, above=above, upper=upper), values)
        rows = cursor.fetchall()
    return {
        scope: Right(capped(agent, "" if NONE in bits else as_bits(bits)), role, place, by, at)
        for scope, place, bits, by, at in rows
    }


def house_here() -> Any:
    """The house we are inside of, as a scope."""
    kind = kind_named("house")
    assert kind is not None
    return kind.model._default_manager.get(pk=current_house())

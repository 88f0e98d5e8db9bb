"""Giving and taking back rights, so that a house is never without an owner who can put right what was granted."""

from django.db import connection, transaction

from houses.agents import Agent
from houses.grants import Grant
from houses.refusals import Forbidden, Invalid, NotFound
from houses.rights import OWNER, require_to_manage, role_of
from houses.scopes import NONE, Scope, X, as_bits, kind_of
from houses.standing import require_owner
from houses.tenancy import current_house

MANAGERS = """
SELECT 1 FROM members member JOIN agents agent ON agent.id = member.agent_id
WHERE house_id = %(house)s AND role = 'owner' AND agent.is_active AND (
    NOT EXISTS (SELECT 1 FROM grants WHERE house_id = %(house)s AND user_id = member.agent_id AND object_pk = %(house)s)
    OR EXISTS (
        SELECT 1 FROM grants JOIN auth_permission permission ON permission.id = permission_id
        WHERE house_id = %(house)s AND user_id = member.agent_id AND object_pk = %(house)s AND codename = 'x'))
LIMIT 1
"""


@transaction.atomic
def give(agent: Agent, scope: Scope, bits: str, *, by: Agent) -> None:
    """Let an agent of the house do exactly this here, or nothing (`none`), whatever holds above."""
    lock_grants(scope)
    role = _require_to_give(agent, scope, by)
    if bits != NONE and (not bits or as_bits(bits) != bits):
        raise Invalid("A grant is some of r, w and x, in that order, or none.")
    if not role:
        raise NotFound("Nobody of that id is in this house.")
    Grant.objects.replace(agent, scope, bits)
    if role == OWNER and X not in bits and kind_of(scope).word == "house":
        keep_a_manager()


@transaction.atomic
def withdraw(agent: Agent, scope: Scope, *, by: Agent) -> None:
    """Let what holds above hold here again."""
    lock_grants(scope)
    _require_to_give(agent, scope, by)
    Grant.objects.replace(agent, scope, "")


def lock_grants(scope: Scope) -> None:
    """One at a time changes what is granted on a scope, and one at a time who manages the house.

    Taken before anything is asked, so that whoever waited is answered by what holds then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", [f"{current_house()} {scope.pk}"])


def keep_a_manager() -> None:
    """Somebody must be able to put right what was granted: an owner who has x on the house. Else it is refused."""
    with connection.cursor() as cursor:
        cursor.execute(MANAGERS, {"house": current_house()})
        if cursor.fetchone() is None:
            raise Forbidden("A house keeps at least one owner who can manage it; that would leave none.")


def _require_to_give(agent: Agent, scope: Scope, by: Agent) -> str:
    """The agent's role, if `by` may change what they were granted here: of an owner on the house, only owners may."""
    require_to_manage(by, scope)
    role = role_of(agent)
    if role == OWNER and scope.pk == current_house():
        require_owner(by)
    return role

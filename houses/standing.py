"""Asking for a bit on the house that we are inside of, or for whoever owns it."""

from houses.agents import Agent
from houses.refusals import Forbidden
from houses.rights import OWNER, here, require, role_of
from houses.scopes import W, X


def require_x(by: Agent) -> None:
    """Refuse whoever may not manage the house."""
    require(by, X, here())


def require_w(by: Agent) -> None:
    """Refuse whoever may not write in the house."""
    require(by, W, here())


def require_own_w(by: Agent) -> None:
    """Refuse whoever holds a token that may only read, also where the agent needs nobody's leave."""
    if W not in by.cap:
        raise Forbidden("The token that asks may not write; make one with w for that.")


def require_owner(by: Agent) -> None:
    """Refuse whoever does not own the house, or holds a token that may not manage it."""
    if not by.oversees and (X not in by.cap or role_of(by) != OWNER):
        raise Forbidden("Only an owner of this house can do that.")

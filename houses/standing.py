"""Asking for a bit on the house that we are inside of."""

from houses.agents import Agent
from houses.places import House
from houses.refusals import Forbidden
from houses.rights import require
from houses.scopes import W, X
from houses.tenancy import current_house


def require_x(by: Agent) -> None:
    """Refuse whoever may not manage the house."""
    require(by, X, House(pk=current_house()))


def require_w(by: Agent) -> None:
    """Refuse whoever may not write in the house."""
    require(by, W, House(pk=current_house()))


def require_own_w(by: Agent) -> None:
    """Refuse whoever holds a token that may only read, also where the agent needs nobody's leave."""
    if W not in by.cap:
        raise Forbidden("The token that asks may not write; make one with w for that.")

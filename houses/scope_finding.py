"""Finding the scope that an address names, for whoever may read it; and who is shown what others may there."""

from typing import Any, cast

from django.db.models import QuerySet

from houses.agents import Agent
from houses.grants import Grant
from houses.refusals import Forbidden, NotFound
from houses.rights import here, manages, may, permitted
from houses.scopes import KINDS, Kind, R, Scope, X, kind_named
from houses.tenancy import current_house

WORDS = ("house", "thread", "tool", "resource")


def within_reach(kind: Kind, by: Agent) -> QuerySet[Any]:
    """Scopes of a kind that `by` may read, or manages with the house: nobody locks an owner out from below."""
    rows = kind.model._default_manager.all()
    if kind.word == "house":
        rows = rows.filter(pk=current_house())  # somebody's other houses are elsewhere
    return rows if may(by, X, here()) else permitted(rows, by)


def scope_of(word: str, scope_id: str, *, by: Agent) -> Scope:
    """The house, thread, tool or resource of that id. Raises `NotFound` for what is out of reach."""
    kind = kind_named(word)
    scope = _read(kind, scope_id, by) if kind else None
    if scope is None:
        raise NotFound
    return scope


def anywhere(scope_id: str, *, by: Agent) -> Scope:
    """Whatever has that id; ids are never used twice in a house."""
    scope = next((found for kind in KINDS.values() if (found := _read(kind, scope_id, by))), None)
    if scope is None:
        raise NotFound
    return scope


def scope_granted(grant: Grant) -> Scope:
    """What a grant is on, inside its house."""
    model = grant.content_type.model_class()
    assert model is not None
    return cast(Scope, model._default_manager.get(pk=grant.object_pk))


def require_insight(by: Agent, scope: Scope) -> None:
    """Refuse whoever is not shown what others may here: that takes r on the house, or managing this."""
    if not may(by, R, here()) and not manages(by, scope):
        raise Forbidden("Who may what here is shown to whoever reads the house, or manages this.")


def _read(kind: Kind, scope_id: str, by: Agent) -> Scope | None:
    return cast("Scope | None", within_reach(kind, by).filter(pk=scope_id).first())

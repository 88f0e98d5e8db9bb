"""Finding a row, or saying that it is not there."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from houses.agents import Agent
from houses.refusals import Invalid, NotFound

Row = TypeVar("Row", bound=Model)


def found(rows: QuerySet[Row], sentence: str | None = None, **which: Any) -> Row:
    """The row, or the refusal that is the same for what is not there and what is not yours."""
    row = rows.filter(**which).first()
    if row is None:
        raise NotFound(sentence) if sentence else NotFound
    return row


def member_named(agent_id: UUID | str) -> Agent:
    """Somebody of the house we are inside of. Whoever is elsewhere is not there, as if they did not exist."""
    return found(Agent.objects.here(), "Nobody of that id is in this house.", pk=agent_id)


def agent_named(word: str, nobody: str = "") -> Agent:
    """Who in this house has that name, or that id. Raises `NotFound`, and `Invalid` where a name is not one agent's."""
    wanted = word.strip().removeprefix("@").casefold()
    here = Agent.objects.here().filter(is_active=True)
    found = [agent for agent in here if wanted in (str(agent.pk), (agent.name or "").casefold())]
    if not found:
        raise NotFound(nobody or f"Nobody called {word!r} is in this house.")
    if len(found) > 1:
        raise Invalid(f"{len(found)} agents of this house are called {word!r}; say which by its id.")
    return found[0]

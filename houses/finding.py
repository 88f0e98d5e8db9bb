"""Finding a row, or saying that it is not there."""

from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from houses.agents import Agent
from houses.refusals import NotFound
from houses.tenancy import current_house

Row = TypeVar("Row", bound=Model)


def found(rows: QuerySet[Row], sentence: str | None = None, **which: Any) -> Row:
    """The row, or the refusal that is the same for what is not there and what is not yours."""
    row = rows.filter(**which).first()
    if row is None:
        raise NotFound(sentence) if sentence else NotFound
    return row


def member_named(agent_id: UUID | str) -> Agent:
    """Somebody of the house we are inside of. Whoever is elsewhere is not there, as if they did not exist."""
    here = Agent.objects.filter(memberships__house_id=current_house())
    return found(here, "Nobody of that id is in this house.", pk=agent_id)

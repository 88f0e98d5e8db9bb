"""Finding a row, or saying that it is not there."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from houses.refusals import NotFound

Row = TypeVar("Row", bound=Model)


def found(rows: QuerySet[Row], sentence: str | None = None, **which: Any) -> Row:
    """The row, or the refusal that is the same for what is not there and what is not yours."""
    row = rows.filter(**which).first()
    if row is None:
        raise NotFound(sentence) if sentence else NotFound
    return row

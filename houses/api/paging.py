"""Every list comes in pages: each says where the next one begins, and stays right while things come and go.

A cursor is the place of the last thing that was read, in the order of the list; it is opaque, and checked when it
comes back.
"""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Field, Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.response import Response

from houses.api.view import Strict
from houses.refusals import Invalid

Row = TypeVar("Row", bound=Model)
One = TypeVar("One")
Shape = type[serializers.BaseSerializer[Any]]
MOST = 200


class PageQuery(Strict):
    """Where to read on from, and how much of it."""

    cursor = serializers.CharField(required=False, help_text="`next` of the page before.")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MOST)


class PageSerializer(serializers.Serializer[Any]):
    """What every page has besides its results."""

    next = serializers.CharField(allow_null=True, help_text="The cursor of the next page; null on the last one.")


def page(
    rows: QuerySet[Row], shape: Shape, query: dict[str, Any], *, by: str = "", order: Sequence[str] = ()
) -> Response:
    """A page of rows: newest first by the time in the column `by`, or in an `order` like Django's.

    The columns of an order are never null and go all up or all down; the primary key decides between equals.
    """
    order = order or (f"-{by}",)
    down = order[0].startswith("-")
    columns = [*(name.removeprefix("-") for name in order), *(field.attname for field in rows.model._meta.pk_fields)]
    if query.get("cursor"):
        rows = rows.filter(_beyond(columns, _place(rows.model, columns, query["cursor"]), "lt" if down else "gt"))
    limit = query["limit"]
    taken = list(rows.order_by(*(f"-{name}" if down else name for name in columns))[: limit + 1])
    return _told(taken, limit, lambda row: shape(row).data, lambda row: [_written(row, name) for name in columns])


def named(rows: QuerySet[Row], query: dict[str, Any]) -> QuerySet[Row]:
    """The rows of that name, if one was asked for."""
    return rows.filter(name=query["name"]) if "name" in query else rows


def page_of(
    things: Iterable[One], query: dict[str, Any], *, key: Callable[[One], str], told: Callable[[One], Any]
) -> Response:
    """A page of what is no table, in the order of its keys, which are texts."""
    ordered = sorted(things, key=key)
    if query.get("cursor"):
        (after,) = _read(query["cursor"], 1)
        ordered = [one for one in ordered if key(one) > str(after)]
    return _told(ordered[: query["limit"] + 1], query["limit"], told, lambda one: [key(one)])


def _told(taken: list[One], limit: int, told: Callable[[One], Any], place: Callable[[One], list[str]]) -> Response:
    following = _cursor(place(taken[limit - 1])) if len(taken) > limit else None
    return Response({"results": [told(one) for one in taken[:limit]], "next": following})


def _beyond(columns: list[str], place: list[Any], way: str) -> Q:
    """Whatever comes after a place; the first column alone bounds it, which is what an index can use."""
    after, same = Q(), Q()
    for name, value in zip(columns, place, strict=True):
        after |= same & Q(**{f"{name}__{way}": value})
        same &= Q(**{name: value})
    return Q(**{f"{columns[0]}__{way}e": place[0]}) & after


def _written(row: Model, name: str) -> str:
    value = getattr(row, name)
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _cursor(place: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def _read(cursor: str, length: int) -> list[str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise _wrong() from None
    if not isinstance(place, list) or len(place) != length or not all(map(_is_keepable, place)):
        raise _wrong()
    return place


def _is_keepable(text: Any) -> bool:
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(model: type[Model], columns: list[str], cursor: str) -> list[Any]:
    """The values of a cursor, each as its column keeps it."""
    place = _read(cursor, len(columns))
    try:
        return [_kept(_field(model, name), text) for name, text in zip(columns, place, strict=True)]
    except (ValidationError, ValueError, OverflowError):
        raise _wrong() from None


def _kept(field: "Field[Any, Any]", text: str) -> Any:
    """A value as the database can compare it, whose times are of years and whose whole numbers have a size."""
    value = field.to_python(text)
    if value is None or (isinstance(value, datetime) and value.tzinfo is None):
        raise ValueError("nothing")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OverflowError("beyond what a column keeps")
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    field = model._meta.get_field(name)
    if not isinstance(field, Field):
        raise FieldDoesNotExist(name)
    return field


def _wrong() -> Invalid:
    return Invalid("cursor: this is not the `next` of a page.")

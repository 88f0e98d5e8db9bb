"""Long lists come in pages: newest first, each page saying where the next one begins."""

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.response import Response

from houses.api.view import Strict
from houses.refusals import Invalid

Row = TypeVar("Row", bound=Model)
MOST = 200


class PageQuery(Strict):
    """Where to read on from, and how much of it."""

    cursor = serializers.CharField(required=False, help_text="`next` of the page before.")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=MOST)


class PageSerializer(serializers.Serializer[Any]):
    """What every page has besides its results."""

    next = serializers.CharField(allow_null=True, help_text="The cursor of the next page; null on the last one.")


def page(
    rows: QuerySet[Row], shape: type[serializers.BaseSerializer[Any]], query: dict[str, Any], *, by: str
) -> Response:
    """A page of rows, newest first by the time in the column `by`."""
    limit = query["limit"]
    if query.get("cursor"):
        at, key = _place(query["cursor"])
        rows = rows.filter(Q(**{f"{by}__lt": at}) | Q(**{by: at, "pk__lt": key}))
    taken = list(rows.order_by(f"-{by}", "-pk")[: limit + 1])
    last = taken[limit - 1] if len(taken) > limit else None
    following = f"{getattr(last, by).isoformat()}~{last.pk}" if last else None
    return Response({"results": [shape(row).data for row in taken[:limit]], "next": following})


def _place(cursor: str) -> tuple[datetime, str]:
    at, _, key = cursor.partition("~")
    try:
        # A plus that was not quoted arrives as a space.
        when = datetime.fromisoformat(at.replace(" ", "+"))
    except ValueError:
        raise Invalid("cursor: this is not the `next` of a page.") from None
    if when.tzinfo is None or not key:
        raise Invalid("cursor: this is not the `next` of a page.")
    return when, key

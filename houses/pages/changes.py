"""The page of changes: who changed what in this house, and when; the same for one thing."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_safe

from houses.indoors import in_house
from houses.models import Agent, House, Member, Mutation
from houses.mutations import ACTIONS, ARBE, MutationQuerySet
from houses.refusals import Invalid
from houses.retelling import VERBS, audited, retell, word_for_table
from houses.scopes import X

AT_ONCE = 50


@in_house(needs=X)
@require_safe
def changes(request: HttpRequest, house: House) -> HttpResponse:
    """What was changed, newest first."""
    given = request.GET
    rows = chosen(given)
    if given.get("before"):
        rows = rows.before(_number(given["before"]))
    taken = list(rows.newest_first()[: AT_ONCE + 1])
    told = retell(taken[:AT_ONCE])
    context = {
        "house": house,
        "here": "settings",
        "told": told,
        "earlier": _earlier(given, taken),
        "given": given,
        "row_title": next((one.title for one in told if one.title), "") if given.get("row") else "",
        "tables": sorted((word_for_table(table), table) for table in audited() if _has_house(table)),
        "actions": [(action, VERBS[action]) for action in ACTIONS],
        "agents": Agent.objects.filter(pk__in=Member.objects.values("agent_id")).order_by("name"),
        "is_filtered": any(given.get(name) for name in ("agent", "table", "action", "row", "from", "to", "before")),
    }
    return render(request, "houses/changes.html", context)


def chosen(given: QueryDict) -> MutationQuerySet:
    """Those that a form asks for."""
    agent = given.get("agent", "")
    return Mutation.objects.chosen(
        agent=_uuid(agent) if agent not in ("", ARBE) else agent,
        table=given.get("table", ""),
        row=given.get("row", ""),
        action=given.get("action", ""),
        since=_day(given.get("from", "")),
        until=_day(given.get("to", ""), later=1),
    )


def _has_house(table: str) -> bool:
    return table == "houses" or any(field.column == "house_id" for field in audited()[table]._meta.concrete_fields)


def _earlier(given: QueryDict, taken: list[Mutation]) -> str:
    """The address of the page before, if there is one."""
    if len(taken) <= AT_ONCE:
        return ""
    query = given.copy()
    query["before"] = str(taken[AT_ONCE - 1].pk)
    return query.urlencode()


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid("agent: this is nobody's id.") from None


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Invalid("before: this is not the id of a change.")
    return int(text)


def _day(text: str, later: int = 0) -> datetime | None:
    """When a day begins, or the one after it, which the last of all days does not have."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
        return timezone.make_aware(datetime.combine(day, time())).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("A day is written like 2026-11-21.") from None


urlpatterns = [path("houses/<str:house_id>/settings/changes/", changes, name="changes")]

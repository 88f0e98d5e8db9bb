"""The page of rights: who may what on the house, a thread, a tool or a resource, and why; and the place to grant it."""

from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from houses.agents import Agent
from houses.explaining import explain, lines
from houses.finding import found
from houses.giving import give, withdraw
from houses.grants import Grant, on_any_of
from houses.indoors import agent_of, in_house
from houses.places import House, Member
from houses.refusals import NotFound, Refused
from houses.rights import manages
from houses.scope_finding import require_insight, scope_of, within_reach
from houses.scopes import KINDS, NONE, Scope, as_bits, kind_of

AT_ONCE = 50  # members on a page
BELOW = 100  # grants that the page of the house lists
NOBODY = "Nobody of that id is in this house."
OFFERED = ("r", "rw", "rwx", "rx", NONE)


@in_house(needs=None)
@require_http_methods(["GET", "POST"])
def rights(request: HttpRequest, house: House, word: str = "house", scope_id: str = "") -> HttpResponse:
    """Who may what here, and why. A grant is given and taken back with one click."""
    by = agent_of(request)
    scope = scope_of(word, scope_id or house.pk, by=by)
    require_insight(by, scope)
    if request.method != "POST":
        return _shown(request, house, scope)
    try:
        with transaction.atomic():
            agent = _member(request.POST.get("agent", ""))
            if request.POST.get("bits"):
                give(agent, scope, request.POST["bits"], by=by)
            else:
                withdraw(agent, scope, by=by)
    except Refused as refused:
        return _shown(request, house, scope, refused.status, detail=refused.detail)
    return redirect(f"{request.get_full_path()}#{agent.pk}")


def _shown(request: HttpRequest, house: House, scope: Scope, status: int = 200, **more: Any) -> HttpResponse:
    by, kind = agent_of(request), kind_of(scope)
    members = Paginator(Member.objects.select_related("agent").order_by("joined_at", "agent_id"), AT_ONCE)
    shown = members.get_page(request.GET.get("page"))
    context = {
        "house": house,
        "here": "threads" if kind.word == "thread" else "settings",
        "scope": scope,
        "word": kind.word,
        "allows": kind.allows,
        "offered": OFFERED,
        "lines": lines(scope, [one.agent for one in shown.object_list], to=by),
        "may_grant": manages(by, scope),
        "older": _beside(shown, -1),
        "newer": _beside(shown, 1),
        "everybody": _everybody(),
        "below": _below(house, by) if kind.word == "house" else [],
        **_answer(request, scope, by),
        **more,
    }
    return render(request, "houses/rights.html", context, status=status)


def _answer(request: HttpRequest, scope: Scope, by: Agent) -> dict[str, Any]:
    """The answer to *May X do Y here?*, where that was asked."""
    asked, bit = request.GET.get("agent", ""), request.GET.get("bit", "")
    if not asked or bit not in ("r", "w", "x"):
        return {"asked": asked}
    try:
        return {"asked": asked, "bit": bit, "answer": explain(_member(asked), bit, scope, to=by)}
    except NotFound as nobody:
        return {"answer": nobody.detail}


def _beside(shown: "Page[Member]", step: int) -> str:
    number = shown.number + step
    return f"?page={number}" if 1 <= number <= shown.paginator.num_pages else ""


def _everybody() -> list[Agent]:
    return list(Agent.objects.filter(pk__in=Member.objects.values("agent_id")).order_by("name"))


def _below(house: House, by: Agent) -> list[dict[str, Any]]:
    """What was granted on single threads, tools and resources, as far as `by` may read those."""
    read = on_any_of(within_reach(kind, by) for kind in KINDS.values() if kind.word != "house")
    rows: list[Any] = list(Grant.objects.each().filter(read).order_by("-granted_at")[:BELOW])
    titles = _titles(rows)
    return [
        {
            "agent": row.user,
            "bits": row.given if row.given == NONE else as_bits(row.given),
            "word": row.word,
            "title": titles[row.object_pk],
            "url": reverse("rights_on", args=[house.pk, row.word, row.object_pk]),
        }
        for row in rows
    ]


def _titles(rows: list[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in KINDS.values():
        ids = {row.object_pk for row in rows if row.word == kind.word}
        found |= {row.pk: str(row) for row in kind.model._default_manager.filter(pk__in=ids)} if ids else {}
    return found


def _member(agent_id: str) -> Agent:
    try:
        key = UUID(agent_id)
    except ValueError:
        raise NotFound(NOBODY) from None
    return found(Member.objects.select_related("agent"), NOBODY, agent_id=key).agent


RIGHTS = "houses/<str:house_id>/settings/rights/"

urlpatterns = [
    path(RIGHTS, rights, name="rights"),
    path(RIGHTS + "<str:word>/<str:scope_id>/", rights, name="rights_on"),
]

"""Pages of memories: what a house, or whoever looks, wants to know again."""

from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.memories import FACT, KINDS
from houses.models import House, Memory
from houses.refusals import Invalid, Refused
from houses.rights import may
from houses.scopes import W

PER_PAGE = 50


@in_house
@require_http_methods(["GET", "POST"])
def memories(request: HttpRequest, house: House) -> HttpResponse:
    """What is remembered, found by its words; and a place to say more."""
    context: dict[str, Any] = {}
    if request.method == "POST":
        try:
            with transaction.atomic():
                Memory.objects.remember(**_said(request), private="private" in request.POST, by=agent_of(request))
            return redirect("memories", house.pk)
        except Refused as refused:
            context = {"detail": refused.detail, "said": request.POST, "status": refused.status}
    return _memories(request, house, **context)


def _memories(request: HttpRequest, house: House, status: int = 200, **more: Any) -> HttpResponse:
    asked = {name: request.GET.get(name, "").strip() for name in ("words", "tag", "kind")}
    superseded = "superseded" in request.GET
    rows = Memory.objects.recall(
        asked["words"], tags=[asked["tag"]] if asked["tag"] else [], kind=asked["kind"], superseded=superseded
    )
    page = Paginator(rows.select_related("created_by"), PER_PAGE).get_page(request.GET.get("page"))
    query = request.GET.copy()
    if page.has_next():
        query["page"] = str(page.next_page_number())
    context = {
        "house": house,
        "here": "settings",
        "memories": page.object_list,
        "next": f"?{query.urlencode()}" if page.has_next() else "",
        "asked": asked | {"superseded": superseded},
        "asks": any(asked.values()) or superseded,
        "kinds": KINDS,
        "writes": may(agent_of(request), W, house),
    }
    return render(request, "houses/memories.html", context | more, status=status)


@in_house
@require_http_methods(["GET", "POST"])
def memory(request: HttpRequest, house: House, memory_id: str) -> HttpResponse:
    """One memory, what it stands in for, and something truer in its place."""
    one, by, status = _one(memory_id), agent_of(request), 200
    context: dict[str, Any] = {"said": {name: getattr(one, name) for name in ("kind", "subject", "text", "confidence")}}
    context["said"]["tags"] = ", ".join(one.tags)
    if request.method == "POST":
        try:
            with transaction.atomic():
                newer = one.supersede(**_said(request), by=by)
            return redirect("memory", house.pk, newer.pk)
        except Refused as refused:
            context, status = {"said": request.POST, "detail": refused.detail}, refused.status
    context |= {
        "house": house,
        "here": "settings",
        "memory": one,
        "older": Memory.objects.filter(pk=one.supersedes_id).first() if one.supersedes_id else None,
        "newer": Memory.objects.filter(supersedes=one).first(),
        "kinds": KINDS,
        "writes": one.is_private or may(by, W, house),
    }
    return render(request, "houses/memory.html", context, status=status)


@in_house
@require_POST
def memory_forget(request: HttpRequest, house: House, memory_id: str) -> HttpResponse:
    _one(memory_id).forget(by=agent_of(request))
    return redirect("memories", house.pk)


def _said(request: HttpRequest) -> dict[str, Any]:
    said = {name: request.POST.get(name, "").strip() for name in ("text", "kind", "subject", "confidence", "tags")}
    return {
        "text": said["text"],
        "kind": said["kind"] or FACT,
        "subject": said["subject"],
        "confidence": _number(said["confidence"]),
        "tags": [word.strip() for word in said["tags"].split(",")],
    }


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as wrong:
        raise Invalid("confidence: this is a number from 0 to 1, or nothing.") from wrong


def _one(memory_id: str) -> Memory:
    return found(Memory.objects.select_related("created_by"), "There is no such memory.", pk=memory_id)

"""Pages of artifacts: what was kept, and keeping a version of a file."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from artifacts.finding import repository_of, version_of
from artifacts.models import Artifact, Derivation
from artifacts.records import FILE
from houses.finding import found
from houses.indoors import agent_of, in_house
from houses.models import House
from houses.rights import may, unseen
from houses.scopes import W

PER_PAGE = 100


@in_house
def kept(request: HttpRequest, house: House) -> HttpResponse:
    """What the house kept, newest first."""
    by = agent_of(request)
    rows = Artifact.objects.shown_to(by).select_related("resource").order_by("-made_at", "-pk")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    hidden = unseen("thread", {one.source_thread_id for one in page if one.source_thread_id}, by)
    context = {
        "house": house,
        "here": "made",
        "kept": [_told(house, one, hidden) for one in page],
        "next": f"?page={page.next_page_number()}" if page.has_next() else "",
        "writes": may(by, W, house),
    }
    return render(request, "artifacts/kept.html", context)


@in_house
@require_POST
def keep(request: HttpRequest, house: House, repository_id: str, path: str) -> HttpResponse:
    """Keep the version of a file that somebody looks at."""
    repository = repository_of(repository_id)
    commit = version_of(repository, request.POST.get("commit"))
    made = Derivation.objects.of(repository).filter(path=path, oid=repository.bare.oids(commit, [path])[path]).first()
    Artifact.objects.keep(
        by=agent_of(request),
        kind=FILE,
        label=request.POST.get("label", ""),
        repository=repository.pk,
        path=path,
        commit=commit,
        source_thread_id=made.thread_id if made else "",
        source_run=made.command_id if made else "",
    )
    return redirect("kept", house.pk)


@in_house
@require_POST
def artifact(request: HttpRequest, house: House, artifact_id: str) -> HttpResponse:
    """Call it something else, or keep it no longer."""
    one = found(Artifact.objects.all(), "There is no such artifact in this house.", pk=artifact_id)
    if "forget" in request.POST:
        one.forget(by=agent_of(request))
    else:
        one.relabel(request.POST.get("label", ""), by=agent_of(request))
    return redirect("kept", house.pk)


def _told(house: House, one: Any, hidden: set[str]) -> dict[str, Any]:
    url = ""
    if one.repository_id and one.path:
        url = reverse("file", args=[house.pk, one.repository_id, one.path]) + f"?at={one.commit}"
    elif one.external_id.startswith(("https://", "http://")):
        url = one.external_id
    where = [one.repository.name, one.path, one.commit[:7]] if one.repository else [one.external_id or one.byte_ref]
    return {
        "one": one,
        "url": url,
        "elsewhere": bool(url) and not one.repository_id,
        "where": " · ".join(part for part in where if part),
        "thread": "" if one.source_thread_id in hidden else one.source_thread_id,
        "resource": one.resource if one.seen_resource else None,
    }

"""Pages of files that tell a story: a folder, a file with where it came from, and everything that was made.

They stand here and not with artifacts because staleness asks what the environments are now.
"""

from typing import Any
from urllib.parse import quote

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from artifacts.content import content_of, text_of
from artifacts.finding import address, crumbs, repository_of, version_of
from artifacts.history import history
from artifacts.models import Derivation, Repository
from artifacts.origin import lineage_of, origin_of
from houses.indoors import PageRequest, in_house
from houses.markdown import document
from houses.models import House
from houses.refusals import NotFound
from threads.makes import environment_digests
from threads.spending import Spending

SHOWN = 2_000_000  # bytes of a file that a page reads


@in_house
def tree(request: HttpRequest, house: House, repository_id: str, path: str = "") -> HttpResponse:
    """A folder."""
    repository = repository_of(repository_id)
    head, stale = repository.head, repository.stale(environment_digests())
    folder = path.strip("/")
    entries = repository.bare.listing(head, folder)
    rows = Derivation.objects.of(repository).filter(path__in=[one.path for one in entries])
    made = set(rows.values_list("path", flat=True))
    readme = next((one for one in entries if one.name == "README.md" and one.is_file), None)
    context = {
        "house": house,
        "here": "files",
        "repository": repository,
        "path": folder,
        "crumbs": crumbs(folder),
        "up": address(house, repository, folder.rpartition("/")[0], folder=True),
        "entries": [
            {
                "name": one.name,
                "is_folder": one.is_folder,
                "url": address(house, repository, one.path, folder=one.is_folder),
                "size": repository.bare.size(one.oid) if one.is_file else 0,
                "state": stale[one.path].state if one.path in stale else "fresh" if one.path in made else "",
            }
            for one in entries
        ],
        "stale": sorted(stale),
        "readme": document(text_of(repository.bare.read(readme.oid, SHOWN)) or "") if readme else "",
        "history": history(repository.bare, head, folder, 5),
    }
    return render(request, "artifacts/tree.html", context)


@in_house
def file(request: PageRequest, house: House, repository_id: str, path: str) -> HttpResponse:
    """A file: its content first, then where it came from and whether that still holds."""
    repository = repository_of(repository_id)
    head = repository.head
    commit = version_of(repository, request.GET.get("at"))
    entry = repository.bare.entry(commit, path)
    if entry is not None and entry.is_folder:
        return redirect("tree", house.pk, repository.pk, path)
    origin = origin_of(house, repository, path, environment_digests()) if commit == head else None
    if origin is not None and origin.get("task"):
        origin["spent"] = Spending.objects.of_run(origin["run"]).total()
    if entry is None and origin is None:
        raise NotFound(f"There is no file `{path}` in {repository}.")
    size = repository.bare.size(entry.oid) if entry else 0
    context = {
        "house": house,
        "here": "files",
        "repository": repository,
        "path": path,
        "crumbs": crumbs(path),
        "commit": commit,
        "at_head": commit == head,
        "blob": _blob(request, house, repository, path, entry.oid if entry else None, size),
        "origin": origin,
        "lineage": lineage_of(house, repository, path, environment_digests()) if commit == head else "",
        "downstream": origin["downstream"] if origin else [],
        "history": history(repository.bare, head, path, 12),
    }
    if request.htmx.target == "pane":
        pane = {"pane_title": path.rpartition("/")[2], "pane_template": "artifacts/_file.html"}
        return render(request, "parts/pane.html", context | pane)
    return render(request, "artifacts/file.html", context)


def _blob(
    request: HttpRequest, house: House, repository: Repository, path: str, oid: str | None, size: int
) -> dict[str, Any]:
    if oid is None:
        return {"size": 0, "gone": True}
    image = reverse("raw", args=[house.pk, repository.pk, path])
    if at := request.GET.get("at"):
        image += f"?at={quote(at)}"
    content = repository.bare.read(oid, SHOWN)
    return content_of(path, content, size, image=image, as_source="source" in request.GET)


@in_house
def made(request: HttpRequest, house: House) -> HttpResponse:
    """Everything that was made, the stale first."""
    digests = environment_digests()
    stale = {(repo.pk, where): one for repo in Repository.objects.all() for where, one in repo.stale(digests).items()}
    rows = Derivation.objects.filter(current=True).select_related("made_by").annotate(count=Count("inputs"))
    behind = {where for _, where in stale}
    late = [r for r in rows.filter(path__in=behind).order_by("-made_at") if (r.repository_id, r.path) in stale]
    fresh = rows.exclude(pk__in=[row.pk for row in late]).order_by("-made_at", "pk")
    page = Paginator(fresh, 100).get_page(request.GET.get("page"))
    shown = [*(late if page.number == 1 else []), *page.object_list]
    context = {
        "house": house,
        "here": "made",
        "made": [_made(house, row, stale.get((row.repository_id, row.path))) for row in shown],
        "next": f"?page={page.next_page_number()}" if page.has_next() else "",
    }
    return render(request, "artifacts/made.html", context)


def _made(house: House, row: Any, stale: Any) -> dict[str, Any]:
    return {
        "path": row.path,
        "url": reverse("file", args=[house.pk, row.repository_id, row.path]),
        "by": row.made_by_name or str(row.made_by or "somebody"),
        "inputs": row.count,
        "at": row.made_at,
        "state": stale.state if stale else "fresh",
        "sentence": " ".join(map(str, stale.reasons[:2])) if stale else "",
        "repository_id": row.repository_id,
    }

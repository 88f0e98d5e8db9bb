"""Pages of repositories, and the bytes of their files. Where a file came from is told by `threads.pages.files`."""

from typing import Any
from urllib.parse import quote

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from artifacts import edit_pages, kept_pages
from artifacts.content import IMAGES
from artifacts.finding import repository_of, version_of
from artifacts.models import Repository
from houses.indoors import PageRequest, agent_of, in_house, of_house
from houses.models import House
from houses.refusals import Forbidden, NotFound, Refused
from houses.tenancy import inside

INERT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@of_house
@require_http_methods(["GET", "POST"])
def files(request: HttpRequest, house: House) -> HttpResponse:
    """The repositories of the house; a new one, or one from elsewhere, which may take its time to arrive."""
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        name, source = request.POST.get("name", "").strip(), request.POST.get("source", "").strip()
        try:
            made = Repository.objects.create_in(house, name, by=agent_of(request), source=source or None)
            return redirect("repository", house.pk, made.pk)
        except Refused as refused:
            context, status = {"detail": refused.detail, "name": name, "source": source}, refused.status
    with inside(house, agent_of(request)):
        return _files(request, house, status, context)


def _files(request: HttpRequest, house: House, status: int, more: dict[str, Any]) -> HttpResponse:
    context = {"house": house, "here": "files", **more}
    repositories = Repository.objects.annotate(count=Count("derivations", Q(derivations__current=True)))
    context["repositories"] = [
        {"id": pk, "name": name, "about": f"{count} made file{'' if count == 1 else 's'}"}
        for pk, name, count in repositories.values_list("pk", "name", "count").order_by("name")
    ]
    return render(request, "artifacts/files.html", context, status=status)


@in_house
def raw(request: PageRequest, house: House, repository_id: str, path: str) -> HttpResponse:
    """The bytes, harmless: a file of the house never runs as a page of arbe, nor as a part of one."""
    if request.htmx:
        raise Forbidden("The bytes of a file are not a part of a page; open its address by itself.")
    repository = repository_of(repository_id)
    commit = version_of(repository, request.GET.get("at"))
    entry = repository.bare.entry(commit, path)
    if entry is None or entry.is_folder:
        raise NotFound(f"There is no file `{path}` in {repository}.")
    content = repository.bare.read(entry.oid)
    kind = IMAGES.get(path.rpartition(".")[2].lower()) or _kind(content)
    response = HttpResponse(content, content_type=kind)
    response.headers["Content-Security-Policy"] = INERT
    response.headers["X-Content-Type-Options"] = "nosniff"
    if kind == "application/octet-stream":
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(path.rpartition('/')[2])}"
    return response


def _kind(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in content else "text/plain; charset=utf-8"


HERE = "houses/<str:house_id>/files/"
REPOSITORY = HERE + "<str:repository_id>/"

urlpatterns = [
    path(HERE, files, name="files"),
    path(REPOSITORY + "raw/<path:path>", raw, name="raw"),
    path(REPOSITORY + "new/", edit_pages.file_new, name="file_new"),
    path(REPOSITORY + "edit/<path:path>", edit_pages.file_edit, name="file_edit"),
    path(REPOSITORY + "upload/", edit_pages.upload, name="upload"),
    path(REPOSITORY + "keep/<path:path>", kept_pages.keep, name="keep"),
    path("houses/<str:house_id>/made/kept/", kept_pages.kept, name="kept"),
    path("houses/<str:house_id>/made/kept/<str:artifact_id>/", kept_pages.artifact, name="artifact"),
]

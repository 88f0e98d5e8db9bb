"""Pages of repositories, and the bytes of their files. Where a file came from is told by `threads.file_pages`."""

from typing import Any
from urllib.parse import quote

from django.db import transaction
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from artifacts import edit_pages
from artifacts.finding import head_of, repository_of
from artifacts.models import Repository
from houses.coming_in import agent_of
from houses.models import House
from houses.pages import in_house
from houses.refusals import Forbidden, NotFound, Refused

INERT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@in_house
@require_http_methods(["GET", "POST"])
def files(request: HttpRequest, house: House) -> HttpResponse:
    """The repositories of the house; a new one, or one from elsewhere."""
    context: dict[str, Any] = {"house": house, "here": "files"}
    status = 200
    if request.method == "POST":
        name, source = request.POST.get("name", "").strip(), request.POST.get("source", "").strip()
        try:
            with transaction.atomic():
                made = Repository.objects.create_in(house, name, by=agent_of(request), source=source or None)
            return redirect("repository", house.pk, made.pk)
        except Refused as refused:
            context |= {"detail": refused.detail, "name": name, "source": source}
            status = refused.status
    repositories = Repository.objects.annotate(count=Count("derivations", Q(derivations__current=True)))
    context["repositories"] = [
        {"id": pk, "name": name, "about": f"{count} made file{'' if count == 1 else 's'}"}
        for pk, name, count in repositories.values_list("pk", "name", "count").order_by("name")
    ]
    return render(request, "artifacts/files.html", context, status=status)


@in_house
def raw(request: HttpRequest, house: House, repository_id: str, path: str) -> HttpResponse:
    """The bytes, harmless: a file of the house never runs as a page of arbe, nor as a part of one."""
    if request.headers.get("HX-Request"):
        raise Forbidden("The bytes of a file are not a part of a page; open its address by itself.")
    repository = repository_of(repository_id)
    commit = head_of(repository, request.GET.get("at", "")) or repository.head
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


IMAGES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
IMAGES["svg"] = "image/svg+xml"


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
]

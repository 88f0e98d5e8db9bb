"""Pages that change files: write, edit, upload."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from artifacts.finding import address, crumbs, repository_of
from artifacts.models import Derivation, Repository
from houses.indoors import PageRequest, agent_of, in_house, told
from houses.models import House
from houses.refusals import LARGEST_FILE, Invalid, NotFound, Refused, TooLarge

EDITABLE = 1_000_000  # bytes


@in_house
@require_http_methods(["GET", "POST"])
def file_new(request: HttpRequest, house: House, repository_id: str) -> HttpResponse:
    """Write a file that is not there yet."""
    repository = repository_of(repository_id)
    folder = request.GET.get("in", "")
    if request.method == "POST":
        where = request.POST.get("path", "").strip()
        return _save(request, house, repository, where, new=True)
    return _editor(request, house, repository, path=f"{folder}/" if folder else "", new=True)


@in_house
@require_http_methods(["GET", "POST"])
def file_edit(request: HttpRequest, house: House, repository_id: str, path: str) -> HttpResponse:
    """Change a text file. What somebody else saved in the meantime is not overwritten."""
    repository = repository_of(repository_id)
    if request.method == "POST":
        return _save(request, house, repository, path, new=False)
    entry = repository.bare.entry(repository.head, path)
    if entry is None or entry.is_folder:
        raise NotFound(f"There is no file `{path}` in {repository}.")
    if repository.bare.size(entry.oid) > EDITABLE:
        raise TooLarge(f"`{path}` is larger than 1 MB: change it with a command, or upload another one in its place.")
    try:
        text = repository.bare.read(entry.oid).decode()
    except UnicodeDecodeError as wrong:
        raise Invalid(f"`{path}` is not text; upload another one in its place.") from wrong
    return _editor(request, house, repository, path=path, text=text, base=entry.oid)


def _save(request: HttpRequest, house: House, repository: Repository, path: str, *, new: bool) -> HttpResponse:
    text = request.POST.get("text", "").replace("\r\n", "\n")
    base = request.POST.get("base", "")
    try:
        with transaction.atomic():
            if new and repository.bare.oids(repository.head, [path])[path] is not None:
                raise Invalid(f"`{path}` is there already; edit it instead.")
            if text and not text.endswith("\n"):
                text += "\n"
            why = request.POST.get("why", "").strip() or None
            repository.write(path, text.encode(), by=agent_of(request), message=why, expect_oid=base or None)
    except Refused as refused:
        more: dict[str, Any] = {"detail": refused.detail, "status": refused.status}
        return _editor(request, house, repository, path=path, text=text, base=base, new=new, **more)
    return redirect("file", house.pk, repository.pk, path)


def _editor(
    request: HttpRequest, house: House, repository: Repository, *, path: str, status: int = 200, **more: Any
) -> HttpResponse:
    made = None if more.get("new") else Derivation.objects.of(repository).filter(path=path).first()
    context = {
        "house": house,
        "here": "files",
        "repository": repository,
        "path": path,
        "crumbs": [] if more.get("new") else crumbs(path),
        "back": address(house, repository, "" if more.get("new") else path),
        "origin": made and {"by": made.made_by_name or "a command"},
        **more,
    }
    return render(request, "artifacts/edit.html", context, status=status)


@in_house
@require_POST
def upload(request: PageRequest, house: House, repository_id: str) -> HttpResponse:
    """Files from somebody's machine, into a folder of the repository, or its root."""
    repository, by = repository_of(repository_id), agent_of(request)
    folder = request.POST.get("in", "").strip("/")
    arrived = request.FILES.getlist("files")
    if not arrived:
        raise Invalid("No file arrived; choose one first.")
    for one in arrived:
        if (one.size or 0) > LARGEST_FILE:
            raise TooLarge(
                f"{one.name} is larger than {LARGEST_FILE // 2**20} MB; bring it in as part of a repository."
            )
    for one in arrived:
        where = f"{folder}/{one.name}" if folder else str(one.name)
        repository.write(where, one.read(), by=by, message=f"Upload {where}")
    names = ", ".join(str(one.name) for one in arrived)
    sentence = f"{names} {'is' if len(arrived) == 1 else 'are'} in {repository}{f'/{folder}' if folder else ''} now."
    if request.htmx:
        return told(HttpResponse(status=204), sentence)
    messages.success(request, sentence)
    return redirect(address(house, repository, folder, folder=True))

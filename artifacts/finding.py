"""Finding repositories and files from addresses, and the way back."""

import re
from typing import Any

from django.urls import reverse

from artifacts.models import Repository
from houses.models import House
from houses.refusals import NotFound

COMMIT = re.compile(r"[0-9a-f]{40}")


def repository_of(repository_id: str) -> Repository:
    found = Repository.objects.filter(pk=repository_id).first()
    if found is None:
        raise NotFound("There is no such repository in this house.")
    return found


def head_of(repository: Repository, commit: str) -> str | None:
    """The commit that was asked for, if one was. Raises `NotFound` for one that is not there."""
    if not commit:
        return None
    if not COMMIT.fullmatch(commit):
        raise NotFound(f"{commit[:12]} is not the id of a commit.")
    return repository.bare.lookup(commit).oid


def address(house: House, repository: Repository, path: str, *, folder: bool = False) -> str:
    if not path:
        return reverse("repository", args=[house.pk, repository.pk])
    return reverse("tree" if folder else "file", args=[house.pk, repository.pk, path])


def crumbs(path: str) -> list[dict[str, Any]]:
    """The folders on the way to a path, and it itself."""
    parts = path.split("/") if path else []
    return [{"name": name, "path": "/".join(parts[: place + 1])} for place, name in enumerate(parts)]

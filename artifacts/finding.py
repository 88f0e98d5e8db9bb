"""Finding repositories and files from addresses, and the way back."""

import re
from typing import Any

from django.urls import reverse

from artifacts.models import Repository
from houses.finding import found
from houses.models import House
from houses.refusals import NotFound

COMMIT = re.compile(r"[0-9a-f]{40}")


def repository_of(repository_id: str) -> Repository:
    return found(Repository.objects.all(), "There is no such repository in this house.", pk=repository_id)


def version_of(repository: Repository, at: str | None) -> str:
    """The commit that was asked for, or the newest one. Raises `NotFound` for one that is not there."""
    if not at:
        return repository.head
    if not COMMIT.fullmatch(at):
        raise NotFound(f"{at[:12]} is not the id of a commit.")
    return repository.bare.lookup(at).oid


def address(house: House, repository: Repository, path: str, *, folder: bool = False) -> str:
    if not path:
        return reverse("repository", args=[house.pk, repository.pk])
    return reverse("tree" if folder else "file", args=[house.pk, repository.pk, path])


def crumbs(path: str) -> list[dict[str, Any]]:
    """The folders on the way to a path, and it itself."""
    parts = path.split("/") if path else []
    return [{"name": name, "path": "/".join(parts[: place + 1])} for place, name in enumerate(parts)]

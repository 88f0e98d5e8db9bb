"""Repositories and the folders in them."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.bare import Entry
from artifacts.finding import COMMIT, repository_of, version_of
from artifacts.models import Repository
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer, answers


class RepositorySerializer(serializers.Serializer[Any]):
    """A git repository of the house."""

    id = serializers.CharField()
    name = serializers.CharField()
    branch = serializers.CharField()
    head = serializers.CharField(help_text="The newest commit of the branch.")
    created_at = serializers.DateTimeField()


class NewRepositorySerializer(Strict):
    """A repository to be made."""

    name = serializers.CharField(max_length=100)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of ours, not REST framework's attribute
        required=False,
        allow_null=True,
        default=None,
        max_length=2000,
        help_text="A git address, or (operators only) a folder on the server; without it, it is empty.",
    )


class EntrySerializer(serializers.Serializer[Any]):
    """A file or a folder."""

    name = serializers.CharField()
    path = serializers.CharField()
    kind = serializers.ChoiceField(["file", "folder", "other"])
    oid = serializers.CharField()
    size = serializers.IntegerField(allow_null=True, help_text="Of a file, in bytes.")


class TreeSerializer(serializers.Serializer[Any]):
    """A folder, as one commit has it."""

    commit = serializers.CharField()
    path = serializers.CharField(allow_blank=True)
    entries = EntrySerializer(many=True)


class TreeQuery(Strict):
    """Which folder, of which commit."""

    path = serializers.CharField(required=False, default="", allow_blank=True)
    at = serializers.RegexField(COMMIT, required=False, help_text="A commit; without it, the newest.")


class RepositoriesView(HouseView):
    stays_inside = False  # nothing is held while a repository arrives

    @operation("list_repositories", "repositories", gives=RepositorySerializer(many=True))
    def get(self, request: Request, house: str) -> Response:
        """The house's repositories, by name."""
        with self.inside():
            return answers(RepositorySerializer, Repository.objects.order_by("name"))

    @operation(
        "create_repository", "repositories", takes=NewRepositorySerializer, gives=RepositorySerializer, status=201
    )
    def post(self, request: Request, house: str) -> Response:
        """A new repository, empty or with everything that is elsewhere."""
        new = self.sent(NewRepositorySerializer)
        repository = Repository.objects.create_in(self.house, new["name"], by=self.agent, source=new["source"] or None)
        with self.inside():
            repository.refresh_from_db()
            return answer(RepositorySerializer, repository, 201)


class RepositoryView(HouseView):
    """What all views of one repository have in common: they find it, and a version of it."""

    @property
    def repository(self) -> Repository:
        return repository_of(self.kwargs["repository"])


class OneRepositoryView(RepositoryView):
    @operation("get_repository", "repositories", gives=RepositorySerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """One repository."""
        return answer(RepositorySerializer, self.repository)


class TreeView(RepositoryView):
    @operation("list_folder", "repositories", query=TreeQuery, gives=TreeSerializer)
    def get(self, request: Request, house: str, repository: str) -> Response:
        """A folder: its folders first, then its files."""
        query, one = self.asked(TreeQuery), self.repository
        commit, folder = version_of(one, query.get("at")), query["path"].strip("/")
        entries = [_told(one, entry) for entry in one.bare.listing(commit, folder)]
        return Response({"commit": commit, "path": folder, "entries": entries})


def shown(path: str) -> str:
    """A path as JSON can carry it: names that are not UTF-8 lose what is not."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _told(repository: Repository, entry: Entry) -> dict[str, Any]:
    kind = "folder" if entry.is_folder else "file" if entry.is_file else "other"
    size = repository.bare.size(entry.oid) if entry.is_file else None
    return {"name": shown(entry.name), "path": shown(entry.path), "kind": kind, "oid": entry.oid, "size": size}

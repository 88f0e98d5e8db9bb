"""Repositories and the folders in them."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.bare import Entry
from artifacts.finding import COMMIT, repository_of, version_of
from artifacts.models import Repository
from houses.api.paging import PageQuery, PageSerializer, named, page, page_of
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer


class RepositorySerializer(serializers.Serializer[Any]):
    """A git repository of the house."""

    id = serializers.CharField()
    name = serializers.CharField()
    branch = serializers.CharField()
    head = serializers.CharField(help_text="The newest commit of the branch.")
    created_at = serializers.DateTimeField()


class RepositoryPageSerializer(PageSerializer):
    """Some repositories."""

    results = RepositorySerializer(many=True)


class RepositoryQuery(PageQuery):
    """Which repositories."""

    name = serializers.CharField(required=False)


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


class TreeSerializer(PageSerializer):
    """Some of a folder, as one commit has it."""

    commit = serializers.CharField()
    path = serializers.CharField(allow_blank=True)
    entries = EntrySerializer(many=True)


class TreeQuery(PageQuery):
    """Which folder, of which commit."""

    path = serializers.CharField(required=False, default="", allow_blank=True)
    at = serializers.RegexField(COMMIT, required=False, help_text="A commit; without it, the newest.")


class RepositoriesView(HouseView):
    stays_inside = False  # nothing is held while a repository arrives

    @operation("list_repositories", "repositories", query=RepositoryQuery, gives=RepositoryPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The house's repositories, by name."""
        query = self.asked(RepositoryQuery)
        with self.inside():
            return page(named(Repository.objects.all(), query), RepositorySerializer, query, order=["name"])

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
        listed = page_of(one.bare.listing(commit, folder), query, key=_ordered, told=lambda entry: _told(one, entry))
        return Response(
            {"commit": commit, "path": folder, "entries": listed.data["results"], "next": listed.data["next"]}
        )


def shown(path: str) -> str:
    """A path as JSON can carry it: names that are not UTF-8 lose what is not."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _ordered(entry: Entry) -> str:
    """Folders first, by name; as a cursor can carry it, whatever bytes are in the name."""
    return ("0" if entry.is_folder else "1") + entry.name.encode(errors="surrogateescape").hex()


def _told(repository: Repository, entry: Entry) -> dict[str, Any]:
    kind = "folder" if entry.is_folder else "file" if entry.is_file else "other"
    size = repository.bare.size(entry.oid) if entry.is_file else None
    return {"name": shown(entry.name), "path": shown(entry.path), "kind": kind, "oid": entry.oid, "size": size}

"""Files of a repository, as bytes."""

from types import MappingProxyType
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.api.repositories import RepositoryView
from artifacts.finding import COMMIT, version_of
from artifacts.models import Repository
from houses.api.bodies import at_most
from houses.api.conditional import require_match
from houses.api.schema import operation
from houses.api.view import Strict
from houses.refusals import LARGEST_FILE, NotFound
from houses.scopes import W

BYTES = {(200, "application/octet-stream"): OpenApiTypes.BINARY}
REPLACING = [
    OpenApiParameter(
        "If-Match", str, OpenApiParameter.HEADER, description="The `ETag` of what is replaced: refused with 412 if not."
    ),
    OpenApiParameter(
        "If-None-Match", str, OpenApiParameter.HEADER, description="`*`: refused with 412 if there is a file already."
    ),
]


class WrittenSerializer(serializers.Serializer[Any]):
    """A file that was written."""

    path = serializers.CharField()
    oid = serializers.CharField(help_text="The object id of its content.")
    commit = serializers.CharField(help_text="The commit that holds it.")


class RemovedSerializer(serializers.Serializer[Any]):
    """A file that was taken away."""

    path = serializers.CharField()
    commit = serializers.CharField(help_text="The commit that no longer holds it.")


class FileQuery(Strict):
    """Which version of the file."""

    at = serializers.RegexField(COMMIT, required=False, help_text="A commit; without it, the newest.")


class WhateverIsAccepted(DefaultContentNegotiation):
    """A file is what it is; what the other side would rather have changes nothing."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class FileView(RepositoryView):
    content_negotiation_class = WhateverIsAccepted
    matches_itself = True  # the branch is locked meanwhile, whoever writes to it
    needs = MappingProxyType({"put": W, "delete": W})

    @extend_schema(operation_id="read_file", tags=["files"], parameters=[FileQuery], responses=BYTES)
    def get(self, request: Request, house: str, repository: str, path: str) -> HttpResponse:
        """The bytes of a file. The `ETag` is its object id."""
        one = self.repository
        entry = one.bare.entry(version_of(one, self.asked(FileQuery).get("at")), path)
        if entry is None or entry.is_folder:
            raise NotFound(f"There is no file `{path}` in this repository.")
        # Never shown by a browser as a page of ours, whatever is in it.
        response = HttpResponse(one.bare.read(entry.oid), content_type="application/octet-stream")
        response.headers["ETag"] = f'"{entry.oid}"'
        response.headers["Content-Disposition"] = "attachment"
        return response

    @extend_schema(parameters=REPLACING)
    @operation("write_file", "files", takes={"application/octet-stream": OpenApiTypes.BINARY}, gives=WrittenSerializer)
    def put(self, request: Request, house: str, repository: str, path: str) -> Response:
        """Put a file on the branch: the body is its content."""
        one = self.repository
        content = at_most(request._request, LARGEST_FILE)  # the bytes as they came; no parser has a say in them
        self._require_match(one, path)
        commit = one.write(path, content, by=self.agent)
        oid = one.bare.oids(commit, [path])[path]
        response = Response({"path": path, "oid": oid, "commit": commit})
        response.headers["ETag"] = f'"{oid}"'
        return response

    @extend_schema(parameters=REPLACING)
    @operation("remove_file", "files", gives=RemovedSerializer)
    def delete(self, request: Request, house: str, repository: str, path: str) -> Response:
        """Take a file off the branch."""
        one = self.repository
        self._require_match(one, path)
        commit = one.remove(path, by=self.agent)
        return Response({"path": path, "commit": commit})

    def _require_match(self, one: Repository, path: str) -> None:
        one.lock()
        entry = one.bare.entry(one.head, path)
        require_match(self.request, f'"{entry.oid}"' if entry is not None and not entry.is_folder else None)

"""A client of the API that speaks JSON, with a token."""

import json

import pytest
from django.test import Client

from houses.models import Token
from houses.tenancy import inside
from tests.streams.conftest import living as living  # noqa: PLC0414  # a fixture, for here too


class Api:
    """What somebody with a token does: says a method and a path under their house, gets status and JSON."""

    def __init__(self, house, token: str, **options) -> None:
        self.house, self.client = house, Client(**options)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body=None, *, house=None, **headers):
        where = (house or self.house).pk
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic(
            method, f"/api/houses/{where}/{path}", content, "application/json", headers=self.headers | headers
        )

    def ok(self, method: str, path: str, body=None, status: int = 200, **headers):
        response = self(method, path, body, **headers)
        assert response.status_code == status, response.content
        return response.json() if response.content else None

    def refused(self, method: str, path: str, body=None, **headers):
        """Status and code; a sentence comes with them."""
        response = self(method, path, body, **headers)
        said = response.json()
        assert set(said) == {"code", "detail"}, said
        assert said["detail"].endswith((".", "…", "`")), said
        return response.status_code, said["code"]


def token_of(agent, house, by=None, **more) -> str:
    with inside(house, by or agent):
        return Token.objects.mint(agent, "for a test", by=by or agent, **more)[1]


@pytest.fixture
def api(oak, ada) -> Api:
    """Ada's, in Oak."""
    return Api(oak, token_of(ada, oak))


@pytest.fixture
def kitchen(api):
    """An environment of Oak, with a repository, and a thread to work in."""
    environment = api.ok("POST", "environments/", {"name": "Kitchen"}, 201)
    thread = api.ok("POST", "threads/", {"name": "Soup"}, 201)
    return {
        "environment": environment["id"],
        "repository": environment["config"]["repository"],
        "thread": thread["id"],
    }

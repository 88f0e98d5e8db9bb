"""What is sent wrongly is answered with a code and a sentence, and leaves nothing behind."""

import json
from io import BytesIO

import pytest
from django.core.handlers.asgi import ASGIRequest

from houses.tenancy import inside
from threads.api.threads import ThreadsView
from threads.models import Thread


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[1]",
        b'"text"',
        b'{"name": "\xff"}',
        b'{"name": "a\\u0000b"}',
        b'{"name": "\\ud800"}',
        b'{"name": 1e999}',
        b'{"name": NaN}',
        b'{"name": {"a": 1}}',
        b'{"nmae": "typo"}',
        b'{"name": "' + b"x" * 201 + b'"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_makes_no_sense_is_a_400(api, oak, body):
    if body == b"":
        body = b"not json"
    assert api.refused("POST", "threads/", body) == (400, "invalid")
    with inside(oak):
        assert not Thread.objects.exists()


def test_what_is_wrong_names_its_field(api):
    said = api("POST", "members/", {"email": "nobody"}).json()
    assert said == {"code": "invalid", "detail": "email: enter a valid email address."}
    said = api("POST", "environments/", {"name": "x", "secret_bindings": [{"name": "A"}, {}]}).json()
    assert said["detail"] == "secret_bindings.1.name: this field is required."


def test_a_message_of_10_mb_is_a_413(api, kitchen):
    path = f"threads/{kitchen['thread']}/messages/"
    assert api.refused("POST", path, {"text": "x" * 10_000_000}) == (413, "too_large")
    assert api.refused("POST", path, {"text": "x" * 300_000}) == (413, "too_large")


def test_a_file_that_is_too_large_is_a_413(api, kitchen, monkeypatch):
    monkeypatch.setattr("artifacts.api.files.LARGEST_FILE", 1000)
    path = f"repositories/{kitchen['repository']}/files/big"
    assert api.refused("PUT", path, b"x" * 1001) == (413, "too_large")
    assert api.refused("GET", path) == (404, "not_found")


def test_other_methods_and_types_are_refused_in_the_same_shape(api, oak):
    assert api.refused("PATCH", "threads/", {}) == (405, "method_not_allowed")
    response = api.client.post(f"/api/houses/{oak.pk}/threads/", {"name": "x"}, headers=api.headers)
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert api.refused("GET", "threads/", Accept="text/csv") == (406, "not_acceptable")


@pytest.mark.parametrize("query", ["tag=%00", "limit=0", "limit=x", "cursor=x", "cursor=2026-01-01~a", "colour=red"])
def test_a_query_that_makes_no_sense_is_a_400(api, query):
    assert api.refused("GET", f"threads/?{query}") == (400, "invalid")


def test_a_refusal_undoes_what_came_before_it(api, kitchen, oak, monkeypatch):
    """A view that has written something and is refused then has written nothing."""
    from houses.refusals import Refused

    def renamed_and_refused(self, name, *, by):
        Thread.objects.filter(pk=self.pk).update(name=name)
        raise Refused("Not today.")

    monkeypatch.setattr(Thread, "rename", renamed_and_refused)
    path = f"threads/{kitchen['thread']}/"
    assert api.refused("PATCH", path, {"name": "Stew"}) == (409, "refused")
    assert api.ok("GET", path)["name"] == "Soup"


def test_a_body_without_a_length_is_read_all_the_same(api, oak):
    headers = [(b"authorization", api.headers["Authorization"].encode()), (b"transfer-encoding", b"chunked")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/api/houses/{oak.pk}/threads/",
        "query_string": b"",
        "headers": [*headers, (b"content-type", b"application/json")],
    }
    request = ASGIRequest(scope, BytesIO(json.dumps({"name": "Chunked"}).encode()))
    response = ThreadsView.as_view()(request, house=oak.pk)
    assert (response.status_code, response.data["name"]) == (201, "Chunked")

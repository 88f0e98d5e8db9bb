"""The API of artifacts: what was kept, and what it points at."""

import pytest

from houses.giving import give
from houses.models import Resource
from houses.tenancy import inside
from tests.api.conftest import Api, token_of
from threads.models import Thread

BREAD = {"name": "Bread", "kind": "github-repo", "external_id": "oak/bread", "config": {"branch": "main"}}


@pytest.fixture
def bos(oak, bo) -> Api:
    return Api(oak, token_of(bo, oak))


@pytest.fixture
def cys(elm, cy) -> Api:
    return Api(elm, token_of(cy, elm))


def test_a_version_of_a_file_is_kept_relabelled_and_forgotten(oak, ada, bo, api, bos, kitchen):
    commit = api.ok("PUT", f"repositories/{kitchen['repository']}/files/soup.md", b"Salt.")["commit"]
    body = {"repository": kitchen["repository"], "path": "soup.md", "commit": commit, "mime_type": "text/markdown"}
    kept = bos.ok("POST", "artifacts/", body | {"source_thread": kitchen["thread"]}, 201)
    assert {name: kept[name] for name in body} == body and kept["kind"] == "file"
    assert bos.ok("POST", "artifacts/", body | {"source_thread": kitchen["thread"]}, 201) == kept
    assert api.refused("POST", "artifacts/", body | {"label": "Another"}) == (409, "kept_already")
    assert api.ok("GET", "artifacts/?path=soup.md&kind=file")["results"] == [kept]
    assert api.ok("PATCH", f"artifacts/{kept['id']}/", {"label": "The soup"})["label"] == "The soup"
    with inside(oak, ada):
        give(bo, oak, "r", by=ada)
    assert bos.refused("PATCH", f"artifacts/{kept['id']}/", {"label": "x"}) == (403, "forbidden")
    assert bos.refused("DELETE", f"artifacts/{kept['id']}/") == (403, "forbidden")
    assert bos.refused("POST", "artifacts/", {"kind": "url", "external_id": "https://x.example"}) == (403, "forbidden")
    api.ok("DELETE", f"artifacts/{kept['id']}/", status=204)
    assert api.ok("GET", "artifacts/")["results"] == []


def test_an_artifact_points_at_something_that_is_there(api, kitchen):
    commit = api.ok("PUT", f"repositories/{kitchen['repository']}/files/a/soup.md", b"Salt.")["commit"]
    version = {"repository": kitchen["repository"], "path": "a/soup.md", "commit": commit}
    for wrong, status in (
        ({}, 400),
        ({"label": "Nothing"}, 400),
        (version | {"path": "b/soup.md"}, 404),
        (version | {"path": "a"}, 404),
        (version | {"path": "../soup.md"}, 400),
        (version | {"commit": "0" * 40}, 404),
        (version | {"commit": "main"}, 400),
        (version | {"repository": "nowhere12345"}, 404),
        ({"path": "a/soup.md", "commit": commit}, 400),
        ({"kind": "url", "external_id": "x", "resource": "nowhere12345"}, 404),
        ({"kind": "url", "external_id": "x", "metadata": {"token": "x"}}, 400),
        ({"kind": "screenshot", "byte_ref": "x", "mime_type": "picture"}, 400),
    ):
        assert api.refused("POST", "artifacts/", wrong)[0] == status, wrong
    assert api.ok("POST", "artifacts/", {"kind": "commit", **version, "path": ""}, 201)["path"] == ""


def test_a_thread_or_a_resource_that_one_may_not_read_is_not_told_of(oak, ada, bo, api, bos, kitchen):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]
    body = {"kind": "url", "external_id": "https://x.example", "resource": bread, "source_thread": kitchen["thread"]}
    kept = api.ok("POST", "artifacts/", body, 201)
    assert (kept["resource"], kept["source_thread"]) == (bread, kitchen["thread"])
    with inside(oak, ada):
        give(bo, Resource.objects.get(), "none", by=ada)
        give(bo, Thread.objects.get(pk=kitchen["thread"]), "none", by=ada)
    for seen in (bos.ok("GET", f"artifacts/{kept['id']}/"), bos.ok("GET", "artifacts/")["results"][0]):
        assert (seen["resource"], seen["source_thread"]) == (None, "")
    assert bos.ok("GET", f"artifacts/?resource={bread}")["results"] == []


def test_what_an_artifact_points_at_may_go(oak, ada, api, kitchen):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]
    kept = api.ok("POST", "artifacts/", {"kind": "url", "external_id": "x", "resource": bread}, 201)
    api.ok("DELETE", f"resources/{bread}/", status=204)
    assert api.ok("GET", f"artifacts/{kept['id']}/")["resource"] is None


def test_next_door_no_artifact_is_there(api, cys, kitchen):
    commit = api.ok("PUT", f"repositories/{kitchen['repository']}/files/soup.md", b"Salt.")["commit"]
    version = {"repository": kitchen["repository"], "path": "soup.md", "commit": commit}
    kept = api.ok("POST", "artifacts/", version, 201)["id"]
    for method, body in (("GET", None), ("PATCH", {"label": "mine"}), ("DELETE", None)):
        assert cys.refused(method, f"artifacts/{kept}/", body) == (404, "not_found")
    assert cys.refused("POST", "artifacts/", version) == (404, "not_found")
    assert cys.ok("GET", "artifacts/")["results"] == []

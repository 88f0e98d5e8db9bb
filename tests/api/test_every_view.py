"""What every address of the API has without saying so: walked, so that a new one is looked at the day it is born."""

import copy

import pytest
from django.urls import get_resolver
from drf_spectacular.generators import SchemaGenerator

from houses.api.idempotent import HEADER
from houses.api.view import AgentView
from tests.api.conftest import Api

OWN = ("dispatch", "initial", "perform_authentication", "finalize_response", "handle_exception", "check_throttles")


@pytest.fixture(scope="module")
def told() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema, method=""):
    return {
        f"{name} {path}": operation
        for path, methods in schema["paths"].items()
        for name, operation in methods.items()
        if name == method or not method
    }


def views() -> set[type]:
    found = set()
    for include in get_resolver("arbe.urls").url_patterns:
        for pattern in getattr(include, "url_patterns", []):
            if str(include.pattern) == "api/":
                found.add(pattern.callback.view_class)
    return found


def answer_of(schema, operation) -> dict:
    """The schema of what it gives, if that is JSON."""
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    shape = content.get("schema", {})
    return schema["components"]["schemas"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape


def bare_lists(schema) -> list[str]:
    """Reads that answer with a list that has no next page."""
    found = []
    for name, operation in operations(schema, "get").items():
        shape, query = answer_of(schema, operation), {one["name"] for one in operation.get("parameters", [])}
        is_list = operation["operationId"].startswith("list_") or shape.get("type") == "array"
        if is_list and not ("next" in shape.get("properties", {}) and query & {"cursor", "after"}):
            found.append(name)
    return found


def without(schema, method, parameter) -> list[str]:
    return [
        name
        for name, operation in operations(schema, method).items()
        if parameter not in {one["name"] for one in operation.get("parameters", [])}
    ]


def untagged(schema) -> list[str]:
    return [
        name
        for name, operation in operations(schema, "get").items()
        if "ETag" not in operation["responses"]["200"].get("headers", {}) or "304" not in operation["responses"]
    ]


def test_every_list_comes_in_pages(told):
    assert bare_lists(told) == []


def test_every_post_takes_a_key(told):
    assert operations(told, "post") and without(told, "post", HEADER) == []


def test_everything_read_has_a_tag(told):
    assert untagged(told) == [] and without(told, "get", "If-None-Match") == []


def test_whoever_changes_what_can_be_read_can_say_what_they_read(told):
    for path, methods in told["paths"].items():
        for method in methods.keys() & {"put", "patch", "delete"}:
            if "get" in methods:
                assert "If-Match" in {one["name"] for one in methods[method]["parameters"]}, (method, path)


def test_the_rules_find_what_breaks_them(told):
    planted = copy.deepcopy(told)
    path = planted["paths"]["/api/houses/{house}/threads/"]
    path["get"]["responses"]["200"] = {"content": {"application/json": {"schema": {"type": "array"}}}}
    path["post"]["parameters"] = []
    assert bare_lists(planted) == ["get /api/houses/{house}/threads/"] == untagged(planted)
    assert without(planted, "post", HEADER) == ["post /api/houses/{house}/threads/"]


def test_every_view_starts_from_the_one_that_has_all_of_this():
    assert {one for one in views() if not issubclass(one, AgentView)} == set()
    assert {one for one in views() for name in OWN if name in one.__dict__} == set()


def test_lists_are_what_the_schema_says_when_they_are_asked(told, api, kitchen):
    prefix, asked = "/api/houses/{house}/", 0
    for name, operation in operations(told, "get").items():
        path = name.removeprefix("get ").replace("{thread}", kitchen["thread"])
        path = path.replace("{repository}", kitchen["repository"]).removeprefix(prefix)
        if "next" in answer_of(told, operation).get("properties", {}) and "{" not in path and "events" not in path:
            if path.startswith("/"):
                continue
            said = api("GET", f"{path}?limit=1")
            (listed,) = [value for value in said.json().values() if isinstance(value, list)]
            assert said.status_code == 200 and said.headers["ETag"] and len(listed) <= 1, path
            assert api.refused("GET", f"{path}?cursor=nonsense") == (400, "invalid"), path
            assert api.refused("GET", f"{path}?colour=red") == (400, "invalid"), path
            asked += 1
    assert asked > 8


def test_refusals_are_told_with_their_headers(told):
    for name, operation in operations(told).items():
        answers = operation["responses"]
        assert {"401", "429", "default"} <= answers.keys() and "Retry-After" in answers["429"]["headers"], name
        method = name.split()[0]
        assert method == "get" or {"409", "422" if method == "post" else "412"} <= answers.keys(), name


def test_a_stranger_is_told_the_same_with_and_without_a_key(elm, api):
    assert api.refused("POST", "threads/", {"name": "x"}, house=elm, **{HEADER: "a"}) == (404, "not_found")
    assert Api(elm, "").refused("POST", "threads/", {"name": "x"}, **{HEADER: "a"}) == (401, "unauthenticated")

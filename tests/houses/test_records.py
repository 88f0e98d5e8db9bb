"""Resources, tools and what they refuse."""

import pytest

from houses.giving import give
from houses.models import Resource, Tool
from houses.refusals import Forbidden, Invalid, NotFound, Refused
from houses.rights import require
from houses.scopes import X
from houses.tenancy import inside

SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def resource_of(house, by, **more):
    given = {"kind": "github-repo", "external_id": "oak/bread", "config": {"branch": "main"}} | more
    return Resource.objects.create_in(house, given.pop("name", "Bread"), by=by, **given)


def tool_of(house, by, name="get_loaf", **more):
    given = {"kind": "http", "schema": SCHEMA, "config": {"method": "get", "url": "https://bread.example/{id}"}} | more
    return Tool.objects.create_in(house, name, by=by, **given)


def test_a_resource_is_made_once_however_often_it_is_said(oak, ada):
    with inside(oak, ada):
        first = resource_of(oak, ada)
        assert resource_of(oak, ada) == first
        with pytest.raises(Refused, match="already has a resource"):
            resource_of(oak, ada, name="Loaf")
        assert Resource.objects.get().config == {"branch": "main"}


def test_a_resource_changes_and_goes(oak, ada):
    with inside(oak, ada):
        one, other = resource_of(oak, ada), resource_of(oak, ada, external_id="oak/cake")
        one.change(name="Rye", kind="github-repo", external_id="oak/rye", by=ada)
        one.refresh_from_db()
        assert (one.name, one.external_id, one.config) == ("Rye", "oak/rye", {})
        with pytest.raises(Refused, match="already has a resource"):
            one.change(name="Rye", kind="github-repo", external_id="oak/cake", by=ada)
        other.remove(by=ada)
        other.remove(by=ada)
        assert list(Resource.objects.all()) == [one]


@pytest.mark.parametrize(("before", "after"), [(1, True), (False, 0), ([{"a": 1}], [{"a": True}])])
def test_one_and_true_are_not_the_same(oak, ada, scribe, before, after):
    def said(config):
        schema, url = {"default": config}, {"url": "https://bread.example/"}
        return resource_of(oak, ada, config={"a": config}), tool_of(oak, ada, schema=schema, config=url)

    with inside(oak, ada):
        resource, tool = said(before)
        resource.change(name="Bread", kind=resource.kind, external_id="oak/bread", config={"a": after}, by=ada)
        tool.change(name="get_loaf", kind="http", schema={"default": after}, config=tool.config, by=ada)
        assert Resource.objects.filter(config={"a": after}).exists()
        assert Tool.objects.filter(schema={"default": after}).exists()


def test_resources_are_managed_by_whoever_has_x_on_the_house(oak, ada, bo):
    with inside(oak, ada):
        one = resource_of(oak, ada)
    with inside(oak, bo):
        for verb in (
            lambda: resource_of(oak, bo, external_id="mine"),
            lambda: one.change(name="x", kind="x", external_id="x", by=bo),
            lambda: one.remove(by=bo),
        ):
            with pytest.raises(Forbidden):
                verb()
        assert Resource.objects.get().name == "Bread"
    with inside(oak, ada):
        give(bo, oak, "rwx", by=ada)
    with inside(oak, bo):
        assert resource_of(oak, bo, external_id="mine").name == "Bread"


def test_a_resource_is_seen_by_whoever_may_read_it(oak, ada, bo):
    with inside(oak, ada):
        one, other = resource_of(oak, ada), resource_of(oak, ada, external_id="other")
        give(bo, one, "none", by=ada)
    with inside(oak, bo):
        assert list(Resource.objects.seen_by(bo)) == [other]
        with pytest.raises(NotFound):
            Resource.objects.chosen([one.pk], by=bo)


@pytest.mark.parametrize(
    "config",
    [
        {"token": "x"},
        {"api_key": "x"},
        {"API-Key": "x"},
        {"nested": [{"client_secret": "x"}]},
        {"url": "https://ada:hunter2@bread.example/"},
        {"note": "ghp_abcdefghijklmnopqrstuvwxyz"},
        {"pem": "-----BEGIN RSA PRIVATE KEY-----"},
    ],
)
def test_a_resource_carries_no_secrets(oak, ada, config):
    with inside(oak, ada), pytest.raises(Invalid, match="Settings → Secrets"):
        resource_of(oak, ada, config=config)


def test_a_name_that_only_sounds_like_a_secret_is_fine(oak, ada):
    config = {"max_tokens": 7, "token_url": "https://bread.example/token", "secretary": "Bo"}
    with inside(oak, ada):
        assert resource_of(oak, ada, config=config).config == config


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": " \n"},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"kind": "Git Hub"},
        {"kind": ""},
        {"kind": "k" * 100},
        {"external_id": ""},
        {"external_id": "e" * 1_000_000},
        {"external_id": "a\0"},
        {"config": {"a": "\0"}},
        {"config": {"\ud83d": 1}},
        {"config": {"a": "x" * 1_000_000}},
        {"config": {"a": float("nan")}},
        {"config": deep(25)},
        {"config": deep(2000)},
        {"config": [1]},
    ],
)
def test_what_cannot_be_kept_is_refused(oak, ada, bad):
    with inside(oak, ada):
        with pytest.raises(Invalid):
            resource_of(oak, ada, **bad)
        assert not Resource.objects.exists()


def test_the_tools_of_the_installation_are_in_every_house_and_changed_by_none(oak, ada):
    with inside(oak, ada):
        make = Tool.objects.get(pk="make")
        assert make.is_builtin
        for verb in (
            lambda: make.change(name="make", kind="http", by=ada),
            lambda: make.remove(by=ada),
        ):
            with pytest.raises(Forbidden, match="of this installation"):
                verb()
        with pytest.raises(Refused, match="already"):
            tool_of(oak, ada, "make")
        with pytest.raises(Invalid, match="builtin tools come with"):
            tool_of(oak, ada, kind="builtin", config={})


def test_a_tool_is_made_once_changed_and_removed(oak, ada):
    with inside(oak, ada):
        tool = tool_of(oak, ada)
        assert tool_of(oak, ada) == tool and tool.config["method"] == "GET"
        with pytest.raises(Refused, match="already"):
            tool_of(oak, ada, description="Another")
        tool.change(name="loaf", kind="mcp", config={"url": "https://mcp.example/sse", "transport": "sse"}, by=ada)
        tool.refresh_from_db()
        assert (tool.name, tool.kind, tool.schema) == ("loaf", "mcp", {})
        tool.remove(by=ada)
        assert not Tool.objects.filter(house=oak).exists()


def test_a_call_is_checked_and_refused_with_where_it_breaks(oak, ada):
    with inside(oak, ada):
        tool = tool_of(oak, ada)
    tool.check_call({"id": 7})
    with pytest.raises(Invalid, match="`id`: 'seven' is not of type 'integer'"):
        tool.check_call({"id": "seven"})
    with pytest.raises(Invalid, match="the top: 'id' is a required property"):
        tool.check_call({})
    with pytest.raises(Invalid):
        tool.check_call([7])
    with pytest.raises(Invalid):
        tool.check_call({"id": 7, "more": "\0"})


def test_x_on_a_tool_is_the_right_to_call_it(oak, ada, bo):
    with inside(oak, ada):
        tool = tool_of(oak, ada)
        require(bo, X, tool)
        give(bo, tool, "r", by=ada)
        with pytest.raises(Forbidden):
            require(bo, X, tool)
        give(bo, tool, "none", by=ada)
        with pytest.raises(NotFound):
            require(bo, X, tool)


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "objekt"}, "breaks at `type`"),
        ({"type": "object", "properties": {"a": {"minimum": "x"}}}, "breaks at `properties.a.minimum`"),
        ({"type": "string"}, "takes an object"),
        ({"properties": {"a": {"$ref": "https://elsewhere.example/a"}}}, "leads out of it"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "leads out of it"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}}, "leads nowhere"),
        ({"$id": "https://elsewhere.example/"}, "is not understood"),
        ({"patternProperties": {"(a+)+$": {}}}, "is not understood"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "2020-12"),
    ],
)
def test_a_broken_schema_is_refused_with_where_it_breaks(oak, ada, schema, where):
    with inside(oak, ada), pytest.raises(Invalid, match=where):
        tool_of(oak, ada, schema=schema, config={"url": "https://bread.example/"})


def test_a_schema_may_have_properties_that_are_called_like_keywords(oak, ada):
    schema = {"properties": {"$id": {"type": "string"}, "$ref": {"$ref": "#/$defs/$id"}}, "$defs": {"$id": {}}}
    with inside(oak, ada):
        tool_of(oak, ada, schema=schema, config={"url": "https://bread.example/"}).check_call({"$ref": 1})


def test_a_schema_cannot_keep_us_busy(oak, ada):
    doubled = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}
    circle = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    slow = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    config = {"url": "https://bread.example/"}
    with inside(oak, ada):
        many = tool_of(oak, ada, "many", schema={"$defs": doubled, "$ref": "#/$defs/d0"}, config=config)
        round_ = tool_of(oak, ada, "round", schema=circle, config=config)
        for tool in (many, round_):
            with pytest.raises(Invalid, match="leads in circles"):
                tool.check_call({})
        tool_of(oak, ada, "slow", schema=slow, config=config).check_call({"a": "a" * 60 + "b"})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": 7},
        {"url": "ftp://bread.example/"},
        {"url": "file:///etc/passwd"},
        {"url": "https://"},
        {"url": "https://ada:hunter2@bread.example/"},
        {"url": "https://ada@bread.example/"},
        {"url": "https://[bread.example/"},
        {"url": "https://bread.example:99999/"},
        {"url": "https://{id}.example/"},
        {"url": "https://bread.example/{name}"},
        {"url": "https://bread.example/", "method": "BREW"},
        {"url": "https://bread.example/", "colour": "red"},
        {"url": "https://bread.example/", "headers": {"Authorization": "Bearer abc"}},
        {"url": "https://bread.example/", "headers": {"X-Api-Key": "abc"}},
        {"url": "https://bread.example/", "headers": {"A": "b\r\nC: d"}},
        {"url": "https://bread.example/", "headers": {"A b": "c"}},
        {"url": "https://bread.example/", "headers": {"X-Note": "ghp_abcdefghijklmnopqrstuvwxyz"}},
        {"url": "https://bread.example/", "headers": ["A: b"]},
    ],
)
def test_an_http_tool_has_one_host_and_no_secrets(oak, ada, config):
    with inside(oak, ada), pytest.raises(Invalid):
        tool_of(oak, ada, config=config)


def test_headers_name_secrets(oak, ada):
    headers = {"Authorization": "Bearer ${API_KEY}", "Accept": "application/json"}
    with inside(oak, ada):
        tool = tool_of(oak, ada, config={"url": "https://bread.example/{id}", "headers": headers})
        assert tool.config["headers"] == headers

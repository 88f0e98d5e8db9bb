"""The API of records: resources, tools, memories, bindings, policies and what follows from them."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, Member, Resource, Secret, Tool
from houses.tenancy import inside
from tests.api.conftest import Api, token_of
from threads.models import Thread

BREAD = {"name": "Bread", "kind": "github-repo", "external_id": "oak/bread", "config": {"branch": "main"}}
LOAF = {
    "name": "get_loaf",
    "kind": "http",
    "description": "Get a loaf.",
    "schema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    "config": {"method": "GET", "url": "https://bread.example/{id}", "headers": {"Authorization": "Bearer ${KEY}"}},
}


@pytest.fixture
def bos(oak, bo) -> Api:
    return Api(oak, token_of(bo, oak))


@pytest.fixture
def scribes(oak, ada, scribe) -> Api:
    return Api(oak, token_of(scribe, oak, by=ada))


@pytest.fixture
def cys(elm, cy) -> Api:
    return Api(elm, token_of(cy, elm))


@pytest.fixture
def key(oak, ada):
    with inside(oak, ada):
        return Secret.objects.put("KEY", "correct-horse-battery-staple", by=ada)


def test_a_resource_is_made_listed_changed_and_removed(api, bos):
    made = api.ok("POST", "resources/", BREAD, 201)
    assert api.ok("POST", "resources/", BREAD, 201) == made
    assert bos.ok("GET", f"resources/{made['id']}/") == made
    assert bos.ok("GET", "resources/?kind=github-repo")["results"] == [made]
    assert bos.ok("GET", "resources/?external_id=elsewhere")["results"] == []
    changed = api.ok("PUT", f"resources/{made['id']}/", BREAD | {"name": "Rye", "config": {}})
    assert (changed["name"], changed["config"]) == ("Rye", {})
    assert bos.refused("PUT", f"resources/{made['id']}/", BREAD) == (403, "forbidden")
    assert bos.refused("DELETE", f"resources/{made['id']}/") == (403, "forbidden")
    api.ok("DELETE", f"resources/{made['id']}/", status=204)
    assert api.refused("GET", f"resources/{made['id']}/") == (404, "not_found")


def test_a_resource_that_one_may_not_read_is_not_there(oak, ada, api, bo, bos):
    made = api.ok("POST", "resources/", BREAD, 201)
    with inside(oak, ada):
        give(bo, Resource.objects.get(), "none", by=ada)
    assert bos.ok("GET", "resources/")["results"] == []
    assert bos.refused("GET", f"resources/{made['id']}/") == (404, "not_found")
    assert bos.refused("DELETE", f"resources/{made['id']}/") == (404, "not_found")


def test_a_guest_sees_the_one_resource_they_were_given(oak, ada, api, bo, bos):
    api.ok("POST", "resources/", BREAD, 201)
    api.ok("POST", "resources/", BREAD | {"external_id": "other"}, 201)
    with inside(oak, ada):
        give(bo, oak, "none", by=ada)
        give(bo, Resource.objects.get(external_id="other"), "r", by=ada)
    (seen,) = bos.ok("GET", "resources/")["results"]
    assert seen["external_id"] == "other"
    assert bos.refused("POST", "resources/", BREAD | {"external_id": "mine"}) == (404, "not_found")
    assert bos.refused("GET", "bindings/") == (404, "not_found")


def test_lists_of_records_come_in_pages(api):
    for number in range(5):
        api.ok("POST", "resources/", BREAD | {"external_id": f"{number}"}, 201)
    seen, cursor = [], ""
    while cursor is not None:
        page = api.ok("GET", f"resources/?limit=2{cursor and '&cursor=' + cursor}")
        seen += [one["external_id"] for one in page["results"]]
        cursor = page["next"]
    assert sorted(seen) == list("01234") and len(seen) == 5


def test_tools_of_the_house_stand_beside_those_of_the_installation(api, bos):
    made = api.ok("POST", "tools/", LOAF, 201)
    assert made["of_installation"] is False and made["config"]["method"] == "GET"
    names = {one["name"]: one for one in bos.ok("GET", "tools/?limit=200")["results"]}
    assert names["get_loaf"] == made and names["make"]["of_installation"] is True
    assert bos.ok("GET", "tools/make/")["schema"]["required"] == ["target"]
    assert api.refused("PUT", "tools/make/", LOAF) == (403, "forbidden")
    assert api.refused("POST", "tools/", LOAF | {"name": "make"}) == (409, "name_taken")
    assert api.ok("PUT", f"tools/{made['id']}/", LOAF | {"name": "loaf"})["name"] == "loaf"
    api.ok("DELETE", f"tools/{made['id']}/", status=204)


def test_a_call_is_checked_and_not_made(api):
    path = f"tools/{api.ok('POST', 'tools/', LOAF, 201)['id']}/checks/"
    assert api.ok("POST", path, {"arguments": {"id": 7}}) == {"fits": True}
    answer = api("POST", path, {"arguments": {"id": "seven"}})
    assert answer.status_code == 400
    assert answer.json()["detail"] == "arguments: `id`: 'seven' is not of type 'integer'."


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("resources/", BREAD | {"config": {"api_token": "x"}}),
        ("resources/", BREAD | {"colour": "red"}),
        ("resources/", BREAD | {"name": ""}),
        ("resources/", BREAD | {"kind": "Git Hub"}),
        ("resources/", BREAD | {"config": {"a": "x" * 1_000_000}}),
        ("resources/", BREAD | {"config": json.loads('{"a":' * 100 + "1" + "}" * 100)}),
        ("tools/", LOAF | {"schema": {"type": 7}}),
        ("tools/", LOAF | {"config": {"url": "file:///etc/passwd"}}),
        ("tools/", LOAF | {"kind": "builtin"}),
        ("memories/", {"text": ""}),
        ("memories/", {"text": "x" * 1_000_000}),
        ("memories/", {"text": "x", "confidence": 2}),
        ("memories/", {"text": "x", "tags": "x"}),
        ("memories/", {"text": "x", "tags": ["x" * 101]}),
        ("bindings/", {"name": "", "secret": "KEY"}),
        ("bindings/", {"name": "x", "secret": "KEY", "agents": ["ada"]}),
    ],
)
def test_what_cannot_be_kept_is_refused(api, key, path, body):
    assert api.refused("POST", path, body) == (400, "invalid")


@pytest.mark.parametrize("body", [b'{"text": "a\\u0000b"}', b'{"text": "\\ud800"}', b'{"text": ' + b"[" * 100_000])
def test_text_that_the_database_does_not_keep_is_refused(api, body):
    assert api.refused("POST", "memories/", body) == (400, "invalid")


def test_a_memory_is_kept_found_superseded_and_forgotten(api, bos):
    kept = api.ok(
        "POST", "memories/", {"text": "Bread is baked at five.", "tags": ["kitchen"], "subject": "bread"}, 201
    )
    assert bos.ok("GET", "memories/?words=baked%20-cake")["results"] == [kept]
    assert bos.ok("GET", "memories/?tag=kitchen&subject=Bread&kind=fact")["results"] == [kept]
    assert bos.ok("GET", "memories/?words=cake")["results"] == []
    newer = bos.ok(
        "POST", f"memories/{kept['id']}/successor/", {"text": "Bread is baked at six.", "confidence": 0.9}, 201
    )
    assert (newer["supersedes"], newer["tags"], newer["subject"]) == (kept["id"], ["kitchen"], "bread")
    assert api.ok("GET", "memories/")["results"] == [newer]
    assert api.ok("GET", "memories/?superseded=true")["results"] == [newer, kept]
    assert api.refused("POST", f"memories/{kept['id']}/successor/", {"text": "Seven."}) == (409, "already_superseded")
    api.ok("DELETE", f"memories/{newer['id']}/", status=204)
    assert api.ok("GET", "memories/")["results"] == [kept]


def test_a_private_memory_is_its_agents_alone(api, bos):
    mine = bos.ok("POST", "memories/", {"text": "Ada likes rye.", "private": True}, 201)
    assert mine["private"] is True
    assert bos.ok("GET", "memories/")["results"] == [mine]
    assert api.ok("GET", "memories/?superseded=true")["results"] == []
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "successor/", {"text": "Ada likes wheat."}),
    ):
        assert api.refused(method, f"memories/{mine['id']}/{path}", body) == (404, "not_found")


def test_a_binding_says_who_gets_what_for_what(oak, api, bos, scribe, key):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]
    body = {"name": "baker", "secret": "KEY", "resources": [bread], "agents": [str(scribe.pk)]}
    made = api.ok("POST", "bindings/", body, 201)
    assert {name: made[name] for name in body} == body
    assert api.ok("POST", "bindings/", body, 201) == made
    assert bos.ok("GET", f"bindings/?secret=KEY&resource={bread}&agent={scribe.pk}")["results"] == [made]
    assert bos.ok("GET", "bindings/?secret=OTHER")["results"] == []
    changed = api.ok("PUT", f"bindings/{made['id']}/", body | {"agents": []})
    assert (changed["agents"], changed["resources"]) == ([], [bread])
    assert bos.refused("DELETE", f"bindings/{made['id']}/") == (403, "forbidden")
    assert api.refused("POST", "bindings/", body | {"name": "x", "secret": "NONE"}) == (404, "not_found")
    api.ok("DELETE", f"bindings/{made['id']}/", status=204)


def test_a_policy_is_made_switched_changed_and_removed(api, bos, scribe, scribes):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]
    body = {
        "agent": str(scribe.pk),
        "name": "Mondays",
        "trigger": "cron",
        "config": {"expression": "0 9 * * 1", "zone": "Europe/Berlin"},
        "resources": [bread],
        "tools": ["make"],
    }
    made = api.ok("POST", "policies/", body, 201)
    assert {name: made[name] for name in body} == body and made["enabled"] is True
    assert api.ok("POST", "policies/", body, 201) == made
    assert bos.ok("GET", f"policies/?agent={scribe.pk}&trigger=cron&enabled=true")["results"] == [made]
    assert bos.ok("GET", "policies/?enabled=false")["results"] == []
    path = f"policies/{made['id']}/"
    assert scribes.ok("PATCH", path, {"enabled": False})["enabled"] is False
    assert scribes.refused("PATCH", path, {"enabled": True}) == (403, "forbidden")
    assert bos.refused("PATCH", path, {"enabled": False}) == (403, "forbidden")
    new = {"trigger": "interval", "config": {"ms": 60_000}}
    assert api.ok("PUT", path, new)["resources"] == []
    assert bos.refused("DELETE", path) == (403, "forbidden")
    api.ok("DELETE", path, status=204)


def test_a_policy_does_not_tell_of_what_one_may_not_read(oak, ada, bo, api, bos, scribe, kitchen):
    loaf = api.ok("POST", "tools/", LOAF, 201)["id"]
    scopes = {"scope_ids": [kitchen["thread"]]}
    body = {"agent": str(scribe.pk), "trigger": "mention", "config": scopes, "tools": [loaf]}
    made = api.ok("POST", "policies/", body, 201)
    assert (made["config"], made["tools"]) == (scopes, [loaf])
    with inside(oak, ada):
        give(bo, Thread.objects.get(pk=kitchen["thread"]), "none", by=ada)
        give(bo, Tool.objects.get(pk=loaf), "none", by=ada)
    for seen in (bos.ok("GET", f"policies/{made['id']}/"), bos.ok("GET", "policies/")["results"][0]):
        assert (seen["config"], seen["tools"]) == ({"scope_ids": []}, [])


def test_what_a_bot_can_do_is_told_in_one_answer(oak, ada, api, bos, scribe, key):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]
    api.ok("POST", "bindings/", {"name": "b", "secret": "KEY", "resources": [bread], "agents": [str(scribe.pk)]}, 201)
    body = {"agent": str(scribe.pk), "trigger": "mention", "resources": [bread], "tools": ["make"]}
    policy = api.ok("POST", "policies/", body, 201)["id"]
    path = f"members/{scribe.pk}/capabilities/"
    before = bos.ok("GET", path)
    assert before["resources"] == [] and before["secrets"] == []
    assert "make" in [one["id"] for one in before["tools"]]
    with inside(oak, ada):
        give(scribe, Resource.objects.get(), "rx", by=ada)
    after = bos.ok("GET", path)
    assert [one["id"] for one in after["resources"]] == [bread]
    assert after["secrets"] == [{"binding": "b", "secret": "KEY", "resources": [bread]}]
    aim = {"policy": policy, "name": "", "trigger": "mention", "tools": ["make"], "resources": [bread]}
    assert after["policies"] == [aim]
    assert "correct-horse" not in json.dumps(after)


def test_next_door_nothing_of_this_is_there(api, cys, cy, elm, scribe, key):
    ids = {
        "resources": api.ok("POST", "resources/", BREAD, 201)["id"],
        "tools": api.ok("POST", "tools/", LOAF, 201)["id"],
        "memories": api.ok("POST", "memories/", {"text": "Oak's"}, 201)["id"],
        "bindings": api.ok("POST", "bindings/", {"name": "b", "secret": "KEY"}, 201)["id"],
        "policies": api.ok("POST", "policies/", {"agent": str(scribe.pk), "trigger": "mention"}, 201)["id"],
    }
    for noun, pk in ids.items():
        assert cys.refused("GET", f"{noun}/{pk}/") == (404, "not_found")
        assert cys.refused("DELETE", f"{noun}/{pk}/") == (404, "not_found")
        assert pk not in cys("GET", f"{noun}/?limit=200").content.decode()
        assert cys("GET", f"{noun}/", house=api.house).status_code == 404
    assert cys.refused("GET", f"members/{scribe.pk}/capabilities/") == (404, "not_found")
    assert cys.refused("POST", f"memories/{ids['memories']}/successor/", {"text": "x"}) == (404, "not_found")
    assert cys.refused("POST", f"tools/{ids['tools']}/checks/", {"arguments": {}}) == (404, "not_found")
    with inside(elm, cy):
        Secret.objects.put("KEY", "elm's", by=cy)
        bot = Agent.objects.create_bot("Elmo", "pi")
        Member.objects.create(house=elm, agent=bot, role="member")
    mine = {"name": "m", "secret": "KEY"}
    said = {"agent": str(bot.pk), "trigger": "mention"}
    for path, body in (("bindings/", mine), ("policies/", said)):
        answers = [cys("POST", path, body | {"resources": [pk]}) for pk in (ids["resources"], "nowhere12345")]
        assert {one.status_code for one in answers} == {404} and len({one.content for one in answers}) == 1
    assert cys.refused("POST", "bindings/", mine | {"agents": [str(scribe.pk)]}) == (404, "not_found")
    assert cys.refused("POST", "policies/", said | {"agent": str(scribe.pk)}) == (404, "not_found")
    assert cys.refused("POST", "policies/", said | {"tools": [ids["tools"]]}) == (404, "not_found")


@pytest.mark.parametrize("noun", ["resources", "tools", "memories", "bindings", "policies"])
def test_a_list_costs_the_same_however_long_it_is(api, scribe, key, noun):
    bread = api.ok("POST", "resources/", BREAD, 201)["id"]

    def another(number):
        body = {
            "resources": BREAD | {"external_id": f"{number}"},
            "tools": LOAF | {"name": f"tool{number}"},
            "memories": {"text": f"{number}"},
            "bindings": {"name": f"{number}", "secret": "KEY", "resources": [bread], "agents": [str(scribe.pk)]},
            "policies": {"agent": str(scribe.pk), "trigger": "mention", "name": f"{number}", "resources": [bread]},
        }[noun]
        api.ok("POST", f"{noun}/", body, 201)

    counts = []
    for number in range(6):
        another(number)
        if number in (0, 5):
            with CaptureQueriesContext(connection) as asked:
                api.ok("GET", f"{noun}/?limit=200")
            counts.append(len(asked))
    assert counts[0] == counts[1], counts
    assert counts[0] <= 16, counts

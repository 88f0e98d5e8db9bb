"""Grants over the API, and what a token that may less cannot do anywhere."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from houses.giving import give
from houses.models import Agent, Grant, Member, Token
from houses.tenancy import inside
from houses.tools import MAKE
from tests.api.conftest import Api, token_of


@pytest.fixture
def bos(oak, bo):
    return Api(oak, token_of(bo, oak))


def may_only(agent, house, bits) -> Api:
    """The API with a token of fewer bits than its agent."""
    text = token_of(agent, house)
    with inside(house, agent):
        Token.objects.filter(agent=agent).update(bits=bits)
    return Api(house, text)


def test_a_grant_is_given_read_and_taken_back(api, kitchen, ada, bo):
    where = f"grants/thread/{kitchen['thread']}/{bo.pk}/"
    assert api.refused("GET", where) == (404, "not_found")
    told = api.ok("PUT", where, {"bits": "r"})
    assert (told["agent"]["name"], told["kind"], told["scope"], told["bits"]) == (
        "Bo",
        "thread",
        kitchen["thread"],
        "r",
    )
    assert told["granted_by"]["id"] == str(ada.pk)
    assert api.ok("GET", where) == told
    assert api.ok("PUT", where, {"bits": "none"})["bits"] == "none"
    api.ok("DELETE", where, status=204)
    api.ok("DELETE", where, status=204)
    assert api.ok("GET", "grants/") == {"results": [], "next": None}


def test_the_list_is_filtered_and_comes_in_pages(api, kitchen, oak, bo, scribe):
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "rwx"})
    api.ok("PUT", f"grants/house/{oak.pk}/{scribe.pk}/", {"bits": "rx"})
    api.ok("PUT", f"grants/tool/{MAKE}/{bo.pk}/", {"bits": "r"})

    def told(query=""):
        return [(one["kind"], one["bits"]) for one in api.ok("GET", f"grants/{query}")["results"]]

    assert told() == [("tool", "r"), ("house", "rx"), ("thread", "rwx")]
    assert told(f"?agent={bo.pk}") == [("tool", "r"), ("thread", "rwx")]
    assert told("?kind=house") == [("house", "rx")] and told(f"?scope={MAKE}") == [("tool", "r")]
    first = api.ok("GET", "grants/?limit=2")
    rest = api.ok("GET", f"grants/?limit=2&cursor={first['next']}")
    assert [one["kind"] for one in first["results"] + rest["results"]] == ["tool", "house", "thread"]


def test_may_they_is_answered_in_a_sentence(api, bos, kitchen, bo):
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "r"})
    told = api.ok("GET", f"may/?agent={bo.pk}&bit=w&scope={kitchen['thread']}")
    assert told["may"] is False and told["sentence"].startswith("no: r from thread “Soup”, granted by Ada on ")
    assert bos.ok("GET", "may/?bit=w") == {
        "may": True,
        "sentence": "yes: rw as member of this house, where nothing else is granted.",
    }
    assert api.refused("GET", f"may/?agent={uuid.uuid4()}&bit=w") == (404, "not_found")
    assert api.refused("GET", "may/?bit=w&scope=nothing") == (404, "not_found")
    assert api.refused("GET", "may/?bit=q") == (400, "invalid")


def test_everybodys_rights_on_one_scope(api, kitchen, ada, bo, scribe):
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "none"})
    told = api.ok("GET", f"rights/thread/{kitchen['thread']}/")["results"]
    assert {one["agent"]["name"]: (one["bits"], one["explicit"]) for one in told} == {
        "Ada": ("rwx", ""),
        "Bo": ("", "none"),
        "Scribe": ("rw", ""),
    }
    assert api.ok("GET", f"rights/thread/{kitchen['thread']}/?limit=1")["next"]


def test_who_does_not_manage_grants_nothing(bos, kitchen, oak, bo):
    assert bos.refused("PUT", f"grants/house/{oak.pk}/{bo.pk}/", {"bits": "rwx"}) == (403, "forbidden")
    assert bos.refused("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "rwx"}) == (403, "forbidden")
    with inside(oak, bo):
        assert not Grant.objects.exists()


def test_what_may_not_be_read_and_what_is_not_there_answer_alike(api, bos, kitchen, bo, elm, cy):
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "none"})
    for method, path, body in (
        ("GET", "rights/thread/{}/", None),
        ("PUT", "grants/thread/{}/" + str(bo.pk) + "/", {"bits": "r"}),
        ("DELETE", "grants/thread/{}/" + str(bo.pk) + "/", None),
        ("GET", "may/?bit=r&scope={}", None),
    ):
        hidden = bos(method, path.format(kitchen["thread"]), body)
        nothing = bos(method, path.format("nothing"), body)
        assert (hidden.status_code, hidden.content) == (404, nothing.content)
    assert bos.ok("GET", "grants/")["results"] == []
    assert api.refused("PUT", f"grants/house/{elm.pk}/{bo.pk}/", {"bits": "r"}) == (404, "not_found")
    assert api.refused("PUT", f"grants/thread/{kitchen['thread']}/{cy.pk}/", {"bits": "r"}) == (404, "not_found")
    assert api.refused("PUT", f"grants/spoon/{kitchen['thread']}/{bo.pk}/", {"bits": "r"}) == (404, "not_found")


def test_a_token_that_may_read_changes_nothing(api, kitchen, oak, ada, bo):
    reading = may_only(ada, oak, "r")
    files = f"repositories/{kitchen['repository']}/files/a.txt"
    for method, path, body in (
        ("PUT", files, b"1"),
        ("POST", "repositories/", {"name": "more"}),
        ("POST", "environments/", {"name": "more"}),
        ("PUT", f"environments/{kitchen['environment']}/default/", None),
        ("PUT", f"grants/house/{oak.pk}/{bo.pk}/", {"bits": "r"}),
        ("DELETE", f"grants/house/{oak.pk}/{bo.pk}/", None),
        ("PATCH", f"members/{bo.pk}/", {"role": "owner"}),
        ("DELETE", f"members/{bo.pk}/", None),
        ("DELETE", f"members/{ada.pk}/", None),
    ):
        assert reading.refused(method, path, body) == (403, "forbidden"), (method, path)
    assert reading.ok("GET", "may/?bit=w")["sentence"] == "no: the token that asks may only r."
    with inside(oak, ada):
        assert Member.objects.count() == 2 and not Grant.objects.exists()


def test_a_token_that_may_write_manages_nothing(kitchen, oak, ada, bo):
    writing = may_only(ada, oak, "rw")
    assert writing("PUT", f"repositories/{kitchen['repository']}/files/a.txt", b"1").status_code == 200
    for method, path, body in (
        ("POST", "environments/", {"name": "more"}),
        ("PUT", f"grants/house/{oak.pk}/{bo.pk}/", {"bits": "r"}),
        ("DELETE", f"members/{bo.pk}/", None),
    ):
        assert writing.refused(method, path, body) == (403, "forbidden"), (method, path)


def test_a_token_without_any_bits_sees_nothing(kitchen, oak, ada):
    nothing = may_only(ada, oak, "")
    for path in ("", "members/", "environments/", "repositories/", "grants/"):
        assert nothing.refused("GET", path) == (404, "not_found"), path


def test_who_may_not_read_the_house_may_leave_it(api, bos, oak, ada, bo, scribe):
    api.ok("PUT", f"grants/house/{oak.pk}/{bo.pk}/", {"bits": "none"})
    assert bos.refused("GET", "") == bos.refused("GET", "members/") == (404, "not_found")
    assert bos.refused("DELETE", f"members/{scribe.pk}/") == (404, "not_found")
    bos.ok("DELETE", f"members/{bo.pk}/", status=204)
    with inside(oak, ada):
        assert not Member.objects.of(bo)


def test_a_long_list_of_rights_costs_no_more_queries(api, oak, ada):
    def queries() -> int:
        api.ok("GET", f"rights/house/{oak.pk}/")
        with CaptureQueriesContext(connection) as caught:
            api.ok("GET", f"rights/house/{oak.pk}/?limit=200")
        return len(caught)

    def arrive(name):
        guest = Agent.objects.create_human(name, f"{name}@oak.example")
        Member.objects.create(house=oak, agent=guest, role="member")
        give(guest, oak, "rx", by=ada)

    with inside(oak, ada):
        arrive("first")
    before = queries()
    with inside(oak, ada):
        for number in range(40):
            arrive(f"guest{number}")
    assert queries() == before


def test_a_thread_that_may_not_be_read_is_not_named_by_what_was_made_in_it(api, bos, kitchen, oak, ada, bo):
    from artifacts.made import Made
    from artifacts.models import Repository

    where = f"repositories/{kitchen['repository']}/"
    with inside(oak, ada):
        repository = Repository.objects.get(pk=kitchen["repository"])
        before, commit = repository.tree, repository.write("report.md", b"3\n", by=ada)
        run = Made(
            before=before,
            after=repository.tree,
            reads=set(),
            recipe={"kind": "command", "command": "sum > report.md"},
            commit=commit,
            by=ada,
            thread_id=kitchen["thread"],
            command_id="c1",
        )
        repository.record(run)

    def told():
        (listed,) = bos.ok("GET", where + "derivations/")["results"]
        why = bos.ok("GET", where + "why/?path=report.md")["derivation"]
        assert (listed["thread"], listed["command_id"]) == (why["thread"], why["command_id"])
        return why["thread"], why["command_id"]

    assert told() == (kitchen["thread"], "c1")
    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "none"})
    assert told() == ("", "")


def test_operators_look_at_grants_and_withdraw_them(api, kitchen, oak, ada, bo, cy):
    from django.contrib import admin
    from django.contrib.messages.storage.fallback import FallbackStorage
    from django.test import RequestFactory

    api.ok("PUT", f"grants/thread/{kitchen['thread']}/{bo.pk}/", {"bits": "rw"})
    request = RequestFactory().post("/admin/")
    request.user, request.session = Agent.objects.get(pk=cy.pk), {}
    request._messages = FallbackStorage(request)
    page = admin.site.get_model_admin(Grant)
    with inside(oak):
        row = Grant.objects.filter(user=bo)[:1]
        page.act(request, list(row), page.withdraw_one, "withdrawn")
    assert api.ok("GET", "grants/")["results"] == []


def test_the_token_of_a_run_reaches_its_own_thread_alone(api, kitchen, oak, ada):
    other = api.ok("POST", "threads/", {"name": "Other"}, status=201)["id"]
    running = may_only(ada, oak, "rw")
    with inside(oak, ada):
        Token.objects.filter(bits="rw").update(run_thread=kitchen["thread"])
    assert running("GET", f"threads/{kitchen['thread']}/").status_code == 200
    assert running.refused("GET", f"threads/{other}/") == (404, "not_found")
    assert [one["id"] for one in running.ok("GET", "threads/")["results"]] == [kitchen["thread"]]
    assert running.refused("DELETE", f"members/{ada.pk}/") == (403, "forbidden")


def test_the_token_of_a_run_has_work_done_in_the_environment_of_its_thread_alone(api, kitchen, oak, ada, scribe):
    """Another one hands out other secrets, and may open the network."""
    other = api.ok("POST", "environments/", {"name": "Vault"}, status=201)["id"]
    running, below = Api(oak, token_of(ada, oak)), {"parent": kitchen["thread"]}
    with inside(oak, ada):
        newest = Token.objects.latest("created_at").pk
        Token.objects.filter(pk=newest).update(bits="rw", run_thread=kitchen["thread"], calls=True)
    asked = [("commands/", {"text": "true"}), ("tasks/", {"bot": str(scribe.pk), "text": "x"})]
    for path, body in [(f"threads/{kitchen['thread']}/{noun}", body) for noun, body in asked] + [("threads/", below)]:
        answer = running("POST", path, body | {"environment": other})
        assert answer.status_code == 403 and "environment of its thread" in answer.json()["detail"], path
        assert api("POST", path, body | {"environment": other}).status_code != 403, path
    child = running.ok("POST", "threads/", below | {"environment": kitchen["environment"]}, 201)["id"]
    assert (
        running.ok("POST", f"threads/{child}/commands/", {"text": "true"}, 201)["environment"]
        == (kitchen["environment"])
    )

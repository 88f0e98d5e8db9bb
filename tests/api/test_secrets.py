"""Secrets through the API: written, replaced, accounted for, and read back from nowhere."""

import logging
import re

import psycopg
import pytest
from django.contrib import admin
from django.urls import get_resolver
from redis import StrictRedis

from houses.giving import give
from houses.models import Agent, Bot, BoundAgent, Member, Resource, Secret, SecretBinding, SecretDelivery, Token
from houses.models import BoundResource as ForResource
from houses.refusals import Forbidden
from houses.tenancy import inside
from sandboxes.models import Environment
from tests.api.conftest import Api, token_of
from threads.models import Answer, Command, Thread

CANARY = "canary-in-the-vault-7f3a"


def routes(patterns=None, before=""):
    """Every address that there is, as it is written in the URL maps."""
    for one in get_resolver().url_patterns if patterns is None else patterns:
        route = before + getattr(one.pattern, "_route", "")
        if hasattr(one, "url_patterns"):
            yield from routes(one.url_patterns, route)
        else:
            yield route


@pytest.fixture
def uses(committed, oak, ada, bo, scribe):
    """API_KEY, with everything that can use it: an environment, a binding, a run that goes on and one that is over."""
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "the first value", by=ada)
        environment = Environment.objects.create_in(
            oak, "Kitchen", by=ada, config={}, secret_bindings=[{"name": "API_KEY", "required": True}]
        )
        binding = SecretBinding.objects.create(house=oak, name="billing", secret=Secret.objects.get())
        resource = Resource.objects.create(house=oak, kind="service", name="Bank")
        ForResource.objects.create(house=oak, binding=binding, resource=resource)
        BoundAgent.objects.create(house=oak, binding=binding, agent=scribe)
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        command = thread.run("true", by=ada)
        hand = {"agent": ada, "thread_id": thread.pk, "environment_id": environment.pk}
        SecretDelivery.objects.note({"API_KEY": 1}, command_id=command.pk, **hand)
        SecretDelivery.objects.note({"API_KEY": 1}, command_id="over", **hand)
        SecretDelivery.objects.note_redactions("over", {"API_KEY": 3, "OTHER": 9})
    return {"environment": environment, "thread": thread, "command": command, "binding": binding}


def test_no_address_and_no_table_gives_a_value_back(told, uses, running, oak, client_of, settings, caplog, var):
    settings.DEBUG, ada = False, uses["command"].agent
    caplog.set_level(logging.DEBUG)
    api, browser = Api(oak, token_of(ada, oak)), client_of(ada, raise_request_exception=False)
    api.ok("PUT", "secrets/API_KEY/", {"value": CANARY})
    browser.post(f"/houses/{oak.pk}/settings/secrets/", {"name": "SECOND", "value": CANARY})
    browser.post(f"/houses/{oak.pk}/settings/secrets/API_KEY/", {"value": CANARY})
    answers = [
        browser.post(f"/houses/{oak.pk}/settings/secrets/", {"name": "no name", "value": CANARY}),
        api("PUT", "secrets/no-name/", {"value": CANARY}),
        api("PUT", "secrets/API_KEY/", {"value": CANARY, "more": CANARY}),
        api("PUT", "secrets/API_KEY/", f'{{"value": "{CANARY}'.encode()),
        api("PUT", "secrets/API_KEY/", {"value": [CANARY]}),
    ]
    known = {
        "house": oak.pk, "house_id": oak.pk, "name": "API_KEY", "agent": ada.pk, "agent_id": ada.pk,
        "thread": uses["thread"].pk, "thread_id": uses["thread"].pk, "environment": uses["environment"].pk,
        "environment_id": uses["environment"].pk, "command": uses["command"].pk, "command_id": uses["command"].pk,
        "binding": uses["binding"].pk,
    }  # fmt: skip
    walked = 0
    for route in routes():
        if route.startswith(("admin/", "sign-out", "accounts/logout")):
            continue
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(known.get(found[1], 1)), route)
        answers += [browser.get(path), browser.get(path, headers={"Authorization": api.headers["Authorization"]})]
        walked += answers[-2].status_code == 200
    assert walked > 20, "most of what was asked for was not there"
    everything = "".join(answer.content.decode(errors="replace") for answer in answers if not answer.streaming)
    assert CANARY not in everything and CANARY not in caplog.text
    assert told(uses["thread"]) and CANARY not in str(told(uses["thread"]))
    with psycopg.connect(running.postgres.url, dbname="arbe") as server:
        tables = server.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'vault')"
        ).fetchall()
        rows = "".join(
            str(server.execute(f'SELECT t::text FROM "{schema}"."{table}" t').fetchall()) for schema, table in tables
        )
    assert "SECOND" in rows and CANARY not in rows and CANARY.encode().hex() not in rows
    with StrictRedis.from_url(running.redis.url) as redis:
        assert not any(CANARY.encode() in (redis.dump(key) or b"") for key in redis.scan_iter())
    assert not any(CANARY.encode() in file.read_bytes() for file in var.rglob("*") if file.is_file())


def test_the_operators_admin_gives_no_value_back(uses, oak, ada, client_of):
    with inside(oak, ada):
        Secret.objects.put("API_KEY", CANARY, by=ada)
    operator = client_of(Agent.objects.create_superuser("op@arbe.example", "a long password"), factor=True)
    shown = ""
    for model in admin.site._registry:
        place = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        shown += operator.get(place).content.decode()
    with inside(oak):
        shown += operator.get(f"/admin/houses/secret/{Secret.objects.get().pk}/change/").content.decode()
    assert shown.count("API_KEY") > 2 and CANARY not in shown


def test_a_new_value_is_a_new_version(api):
    first = api.ok("PUT", "secrets/API_KEY/", {"value": "one"})
    second = api.ok("PUT", "secrets/API_KEY/", {"value": "two"})
    assert (first["version"], first["rotated_at"], second["version"]) == (1, None, 2)
    assert second["rotated_by"]["name"] == "Ada" and set(second) == {
        "name", "version", "created_at", "rotated_at", "rotated_by",
    }  # fmt: skip


def test_names_take_r_on_the_house_and_values_take_x(uses, oak, ada, bo):
    member = Api(oak, token_of(bo, oak))
    assert [one["name"] for one in member.ok("GET", "secrets/")["results"]] == ["API_KEY"]
    assert member.refused("PUT", "secrets/API_KEY/", {"value": "mine"})[0] == 403
    assert member.refused("DELETE", "secrets/API_KEY/")[0] == 403
    with inside(oak, ada):
        give(bo, oak, "none", by=ada)
    for path in ("secrets/", "secrets/API_KEY/", "secrets/API_KEY/uses/", "secrets/API_KEY/deliveries/"):
        assert member.refused("GET", path)[0] == 404


def test_how_far_a_secret_reaches(uses, oak, ada):
    api = Api(oak, token_of(ada, oak))
    told = api.ok("GET", "secrets/API_KEY/uses/")
    assert told["environments"] == [{"id": uses["environment"].pk, "name": "Kitchen", "is_required": True}]
    (binding,) = told["bindings"]
    assert [one["name"] for one in binding["resources"]] == ["Bank"]
    assert [one["name"] for one in binding["agents"]] == ["Scribe"]
    assert (told["version"], told["deliveries"], told["redactions"]) == (1, 2, 3)
    assert [(one["command_id"], one["is_old"]) for one in told["going"]] == [(uses["command"].pk, False)]
    api.ok("PUT", "secrets/API_KEY/", {"value": "another"})
    assert [one["is_old"] for one in api.ok("GET", "secrets/API_KEY/uses/")["going"]] == [True]


def test_bots_whose_key_it_is_and_answers_that_go_on_are_among_its_uses(uses, oak, ada, scribe):
    api = Api(oak, token_of(ada, oak))
    with inside(oak, ada):
        Bot.objects.create(house=oak, agent=scribe, model="m", key_secret="API_KEY")
        thread = uses["thread"]
        answer = Answer.objects.create(house=oak, thread=thread, agent=scribe, asked_by=ada, text="?")
        hand = {"agent": scribe, "thread_id": thread.pk, "environment_id": ""}
        SecretDelivery.objects.note({"API_KEY": 1}, command_id=answer.pk, **hand)
    told = api.ok("GET", "secrets/API_KEY/uses/")
    assert [one["name"] for one in told["bots"]] == ["Scribe"]
    assert {one["command_id"] for one in told["going"]} == {uses["command"].pk, answer.pk}
    told = api.ok("GET", "secrets/API_KEY/deliveries/")["results"]
    assert {one["command_id"]: one["is_going"] for one in told}[answer.pk]
    with inside(oak, ada):
        Answer.objects.filter(pk=answer.pk).update(status="completed")
    assert [one["command_id"] for one in api.ok("GET", "secrets/API_KEY/uses/")["going"]] == [uses["command"].pk]


def test_a_resource_that_one_may_not_read_is_not_named(uses, oak, ada, bo):
    with inside(oak, ada):
        give(bo, Resource.objects.get(name="Bank"), "none", by=ada)
    (binding,) = Api(oak, token_of(bo, oak)).ok("GET", "secrets/API_KEY/uses/")["bindings"]
    assert (binding["name"], binding["resources"]) == ("billing", [])


def test_a_value_that_was_deleted_and_put_in_again_is_another(uses, oak, ada):
    api = Api(oak, token_of(ada, oak))
    api.ok("DELETE", "secrets/API_KEY/", status=204)
    assert api.ok("PUT", "secrets/API_KEY/", {"value": "another"})["version"] == 1
    assert [one["is_old"] for one in api.ok("GET", "secrets/API_KEY/uses/")["going"]] == [True]


def test_the_runs_that_received_it_come_in_pages(uses, oak, ada):
    api = Api(oak, token_of(ada, oak))
    first = api.ok("GET", "secrets/API_KEY/deliveries/?limit=1")
    second = api.ok("GET", f"secrets/API_KEY/deliveries/?limit=1&cursor={first['next']}")
    (newer,), (older,) = first["results"], second["results"]
    assert (newer["command_id"], newer["redactions"], newer["is_going"]) == ("over", 3, False)
    assert (older["command_id"], older["is_going"], older["thread_id"]) == (
        uses["command"].pk, True, uses["thread"].pk,
    )  # fmt: skip


def test_in_which_thread_it_was_is_for_those_who_may_read_that(uses, oak, ada, bo):
    with inside(oak, ada):
        give(bo, uses["thread"], "none", by=ada)
    for one in Api(oak, token_of(bo, oak)).ok("GET", "secrets/API_KEY/deliveries/")["results"]:
        assert one["thread_id"] is None and one["command_id"] is None and one["agent"]["name"] == "Ada"


def test_what_was_handed_out_is_known_after_it_was_forgotten(uses, oak, ada):
    api = Api(oak, token_of(ada, oak))
    api.ok("DELETE", "secrets/API_KEY/", status=204)
    told = api.ok("GET", "secrets/API_KEY/uses/")
    assert (told["version"], told["deliveries"]) == (None, 2)
    assert api.refused("GET", "secrets/NEVER_WAS/uses/")[0] == 404


def test_next_door_sees_no_use(uses, elm, cy):
    assert Api(elm, token_of(cy, elm)).refused("GET", "secrets/API_KEY/uses/")[0] == 404


def test_a_token_is_minted_with_bits_and_shown_with_them(oak, ada, scribe, committed):
    api = Api(oak, token_of(ada, oak))
    new = api.ok("POST", "tokens/", {"name": "reader", "agent": str(scribe.pk), "bits": "r"}, 201)
    assert (new["bits"], new["created_by"]["name"], new["agent"]["name"]) == ("r", "Ada", "Scribe")
    assert api.refused("POST", "tokens/", {"name": "odd", "bits": "xr"})[0] == 400
    reader = Api(oak, new["text"])
    assert reader.ok("GET", "tokens/")["results"][0]["bits"] == "r"
    assert reader.refused("POST", "tokens/", {"bits": "rw"})[0] == 403
    assert reader.refused("POST", "threads/", {"name": "Soup"})[0] == 403
    assert reader.ok("POST", "tokens/", {}, 201)["bits"] == "r"


def test_a_capped_token_changes_no_grants(oak, ada, bo, committed):
    ada_with_less = Api(oak, token_of(ada, oak, bits="rw"))
    assert ada_with_less.refused("PUT", "secrets/API_KEY/", {"value": "x"})[0] == 403
    ada.cap = "rw"
    with inside(oak, ada), pytest.raises(Forbidden):
        give(bo, oak, "rwx", by=ada)


def test_a_token_is_rotated_at_once_or_after_a_grace(oak, ada, scribe, committed):
    api = Api(oak, token_of(ada, oak))
    old = api.ok("POST", "tokens/", {"agent": str(scribe.pk)}, 201)
    new = api.ok("POST", f"tokens/{old['id']}/rotation/", {}, 201)
    assert Api(oak, old["text"])("GET", "tokens/").status_code == 401
    assert Api(oak, new["text"])("GET", "tokens/").status_code == 200
    newest = api.ok("POST", f"tokens/{new['id']}/rotation/", {"grace_seconds": 60}, 201)
    for text in (new["text"], newest["text"]):
        assert Api(oak, text)("GET", "tokens/").status_code == 200
    assert api.refused("POST", f"tokens/{newest['id']}/rotation/", {"grace_seconds": 3601})[0] == 400
    assert api.refused("POST", f"tokens/{old['id']}/rotation/", {})[0] == 400


def test_others_tokens_are_not_there_for_who_does_not_manage(oak, ada, bo, committed):
    Api(oak, token_of(ada, oak))
    member = Api(oak, token_of(bo, oak))
    assert {one["agent"]["name"] for one in member.ok("GET", "tokens/")["results"]} == {"Bo"}
    with inside(oak, ada):
        its = Token.objects.filter(agent=ada).first()
    assert member.refused("GET", f"tokens/{its.pk}/")[0] == 404
    assert member.refused("POST", f"tokens/{its.pk}/rotation/", {})[0] == 404


def test_a_guest_of_one_thread_has_tokens_of_their_own(oak, ada, bo, committed):
    with inside(oak, ada):
        give(bo, oak, "none", by=ada)
        assert Member.objects.of(bo) and Command.objects.count() == 0
    guest = Api(oak, token_of(bo, oak))
    assert len(guest.ok("GET", "tokens/")["results"]) == 1

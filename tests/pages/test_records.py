"""The pages of records: lists that teach, forms that keep, and nothing of next door."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from artifacts.models import Artifact
from houses.giving import give
from houses.models import ActivationPolicy, Memory, Resource, Secret, SecretBinding, Tool
from houses.tenancy import inside
from tests.houses.test_records import SCHEMA, resource_of, tool_of
from threads.models import Thread

pytestmark = pytest.mark.django_db
LISTS = {
    "resources": "something outside that agents work on",
    "tools": "Tools of this installation",
    "memories": "worth knowing again",
    "bindings": "hands a secret of the house",
    "policies": "Nothing fires yet",
    "kept": "Nothing is kept yet",
}


@pytest.fixture
def ada_browses(client_of, ada):
    return client_of(ada)


@pytest.fixture
def bo_browses(client_of, bo):
    return client_of(bo)


@pytest.fixture
def key(oak, ada):
    with inside(oak, ada):
        return Secret.objects.put("KEY", "correct-horse-battery-staple", by=ada)


def text_of(answer):
    return answer.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_place_teaches(ada_browses, at, name):
    answer = ada_browses.get(at(name))
    assert answer.status_code == 200 and LISTS[name] in text_of(answer)


@pytest.mark.parametrize("name", LISTS)
def test_next_door_there_is_no_such_page(client_of, cy, elm, at, name):
    assert client_of(cy).get(at(name)).status_code == 404


def test_a_resource_is_named_changed_and_removed(ada_browses, bo_browses, oak, ada, at):
    form = {"name": "Bread", "kind": "github-repo", "external_id": "oak/bread", "config": '{"branch": "main"}'}
    assert ada_browses.post(at("resource_new"), form).url == at("resources")
    with inside(oak, ada):
        one = Resource.objects.get()
    assert one.config == {"branch": "main"} and "oak/bread" in text_of(ada_browses.get(at("resources")))
    page = text_of(ada_browses.get(at("resource", one.pk)))
    assert "&quot;branch&quot;: &quot;main&quot;" in page and "Save" in page
    read = text_of(bo_browses.get(at("resource", one.pk)))
    assert "disabled" in read and "Save" not in read and "New resource" not in text_of(bo_browses.get(at("resources")))
    assert bo_browses.post(at("resource", one.pk), form).status_code == 403
    assert bo_browses.post(at("resource_remove", one.pk)).status_code == 403
    ada_browses.post(at("resource", one.pk), form | {"name": "Rye"})
    assert "Rye" in text_of(ada_browses.get(at("resources")))
    ada_browses.post(at("resource_remove", one.pk))
    assert ada_browses.get(at("resource", one.pk)).status_code == 404


@pytest.mark.parametrize(
    "config",
    ["{", "[1]", '{"token": "x"}', '{"a": NaN}', "9" * 5000, '{"a": "\\u0000"}', '{"a": "\\ud800"}', "[" * 100_000],
)
def test_particulars_that_cannot_be_kept_are_said_above_the_form(ada_browses, oak, ada, at, config):
    form = {"name": "Bread", "kind": "github-repo", "external_id": "x", "config": config}
    answer = ada_browses.post(at("resource_new"), form)
    assert answer.status_code == 400 and 'role="alert"' in text_of(answer) and 'value="Bread"' in text_of(answer)
    with inside(oak, ada):
        assert not Resource.objects.exists()


def test_a_resource_that_one_may_not_read_has_no_page(bo_browses, oak, ada, bo, at):
    with inside(oak, ada):
        one = resource_of(oak, ada)
        give(bo, one, "none", by=ada)
    assert bo_browses.get(at("resource", one.pk)).status_code == 404
    assert "oak/bread" not in text_of(bo_browses.get(at("resources")))


def test_a_tool_is_described_and_one_of_the_installation_only_shown(ada_browses, oak, ada, at):
    config = {"method": "GET", "url": "https://bread.example/{id}"}
    form = {"name": "get_loaf", "kind": "http", "schema": json.dumps(SCHEMA), "config": json.dumps(config)}
    assert ada_browses.post(at("tool_new"), form | {"schema": '{"type": 7}'}).status_code == 400
    assert ada_browses.post(at("tool_new"), form).status_code == 302
    page = text_of(ada_browses.get(at("tools")))
    assert page.index("get_loaf") < page.index("run_command") and "built in" in page
    builtin = text_of(ada_browses.get(at("tool", "make")))
    assert "none changes it" in builtin and "Save" not in builtin and "Remove" not in builtin
    assert ada_browses.post(at("tool_remove", "make")).status_code == 403
    with inside(oak, ada):
        one = Tool.objects.get(house=oak)
    ada_browses.post(at("tool_remove", one.pk))
    assert "get_loaf" not in text_of(ada_browses.get(at("tools")))


def test_a_binding_is_made_from_what_the_house_has(ada_browses, oak, ada, scribe, key, at):
    with inside(oak, ada):
        bread = resource_of(oak, ada)
    page = text_of(ada_browses.get(at("binding_new")))
    assert "KEY" in page and "Bread" in page and "Scribe" in page and "correct-horse" not in page
    form = {"name": "baker", "secret": "KEY", "resources": [bread.pk], "agents": [str(scribe.pk)]}
    assert ada_browses.post(at("binding_new"), form | {"resources": ["nowhere12345"]}).status_code == 404
    assert ada_browses.post(at("binding_new"), form).status_code == 302
    with inside(oak, ada):
        one = SecretBinding.objects.get()
        assert one.resource_ids == [bread.pk] and one.agent_ids == [scribe.pk]
    assert "Bread → Scribe" in text_of(ada_browses.get(at("bindings")))
    assert text_of(ada_browses.get(at("binding", one.pk))).count("checked") == 2
    ada_browses.post(at("binding_remove", one.pk))
    assert "baker" not in text_of(ada_browses.get(at("bindings")))


def test_a_policy_is_kept_and_the_page_says_that_it_does_not_fire(ada_browses, oak, ada, scribe, at):
    form = {"agent": str(scribe.pk), "trigger": "cron", "config": '{"expression": "0 9 * * 1"}', "tools": ["make"]}
    assert ada_browses.post(at("policy_new"), form | {"config": "{}"}).status_code == 400
    assert ada_browses.post(at("policy_new"), form).status_code == 302
    page = text_of(ada_browses.get(at("policies")))
    assert "at 0 9 * * 1, UTC" in page and "Nothing fires yet" in page and ">off<" in page
    with inside(oak, ada):
        one = ActivationPolicy.objects.get()
    ada_browses.post(at("policy", one.pk), form | {"enabled": "on", "name": "Mondays"})
    assert ">on<" in text_of(ada_browses.get(at("policies")))
    ada_browses.post(at("policy_remove", one.pk))
    assert "Mondays" not in text_of(ada_browses.get(at("policies")))


def test_a_policys_page_does_not_tell_of_what_one_may_not_read(bo_browses, oak, ada, bo, scribe, at):
    with inside(oak, ada):
        soup = Thread.objects.open_in(oak, by=ada)
        told = {"trigger": "stream-event", "config": {"stream_id": soup.stream_id}}
        one = ActivationPolicy.objects.create_for(scribe, by=ada, **told)
    for shown in (True, False):
        for page in (at("policies"), at("policy", one.pk), at("capabilities", scribe.pk)):
            assert (soup.stream_id in text_of(bo_browses.get(page))) is shown
        with inside(oak, ada):
            give(bo, soup, "none", by=ada)


def test_a_memory_is_kept_found_superseded_and_forgotten(ada_browses, bo_browses, oak, ada, at):
    said = {"text": "Bread is baked at five.", "kind": "fact", "subject": "bread", "tags": "kitchen, mornings"}
    assert ada_browses.post(at("memories"), said | {"confidence": "high"}).status_code == 400
    ada_browses.post(at("memories"), said)
    assert "baked at five" in text_of(bo_browses.get(at("memories") + "?words=baked"))
    assert "baked at five" not in text_of(bo_browses.get(at("memories") + "?words=cake"))
    assert "baked at five" in text_of(bo_browses.get(at("memories") + "?tag=kitchen&kind=fact"))
    with inside(oak, ada):
        one = Memory.objects.get()
    newer = bo_browses.post(at("memory", one.pk), said | {"text": "Bread is baked at six."}).url
    assert "Something newer" in text_of(ada_browses.get(at("memory", one.pk)))
    assert "baked at six" in text_of(ada_browses.get(newer)) and "baked at five" in text_of(ada_browses.get(newer))
    ada_browses.post(newer + "forget/")
    assert "baked at five" in text_of(ada_browses.get(at("memories")))


def test_a_memory_of_ones_own_is_on_nobody_elses_page(ada_browses, bo_browses, oak, bo, at):
    bo_browses.post(at("memories"), {"text": "Ada likes rye.", "private": "on"})
    assert "yours alone" in text_of(bo_browses.get(at("memories")))
    with inside(oak, bo):
        one = Memory.objects.get()
    assert "rye" not in text_of(ada_browses.get(at("memories") + "?words=rye&superseded=on")).replace('value="rye"', "")
    assert ada_browses.get(at("memory", one.pk)).status_code == 404
    assert ada_browses.post(at("memory_forget", one.pk)).status_code == 404


def test_what_is_remembered_is_text_and_never_a_page(ada_browses, at):
    ada_browses.post(at("memories"), {"text": "<script>alert(1)</script>", "subject": "<b>x</b>"})
    page = text_of(ada_browses.get(at("memories")))
    assert "<script>alert" not in page and "<b>x</b>" not in page


def test_what_a_bot_can_do_is_on_one_page(ada_browses, oak, ada, scribe, key, at):
    with inside(oak, ada):
        bread = resource_of(oak, ada)
        SecretBinding.objects.create_in(oak, "baker", secret="KEY", resources=[bread.pk], agents=[scribe.pk], by=ada)
        ActivationPolicy.objects.create_for(scribe, trigger="interval", config={"ms": 3_600_000}, by=ada)
    page = text_of(ada_browses.get(at("capabilities", scribe.pk)))
    assert "run_command" in page and "x on no resource" in page and "every 1 h" in page
    with inside(oak, ada):
        give(scribe, bread, "rx", by=ada)
    page = text_of(ada_browses.get(at("capabilities", scribe.pk)))
    assert "oak/bread" in page and "by baker, for Bread" in page and "correct-horse" not in page


def test_a_version_of_a_file_is_kept_from_its_page(ada_browses, bo_browses, oak, ada, repository, at):
    page = text_of(ada_browses.get(at("file", repository.pk, "README.md")))
    assert "Keep this version" in page
    with inside(oak, ada):
        commit = repository.head
    keep = at("keep", repository.pk, "README.md")
    assert ada_browses.post(keep, {"commit": commit}).url == at("kept")
    ada_browses.post(keep, {"commit": commit})
    with inside(oak, ada):
        one = Artifact.objects.get()
        assert (one.path, one.commit, one.kind) == ("README.md", commit, "file")
        repository.write("README.md", b"Another\n", by=ada)
    assert f"README.md?at={commit}" in text_of(bo_browses.get(at("kept")))
    ada_browses.post(at("artifact", one.pk), {"label": "The first weather"})
    assert "The first weather" in text_of(ada_browses.get(at("kept")))
    assert ada_browses.post(at("keep", repository.pk, "nowhere.md"), {"commit": commit}).status_code == 404
    ada_browses.post(at("artifact", one.pk), {"forget": "1"})
    assert "The first weather" not in text_of(ada_browses.get(at("kept")))


@pytest.mark.parametrize("name", ["resources", "tools", "memories", "bindings", "policies"])
def test_a_list_costs_the_same_however_long_it_is(ada_browses, oak, ada, scribe, key, at, name):
    def another(number):
        bread = resource_of(oak, ada, external_id=f"{number}")
        tool_of(oak, ada, f"tool{number}")
        Memory.objects.remember(f"{number}", tags=["t"], by=ada)
        given = {"resources": [bread.pk], "by": ada}
        SecretBinding.objects.create_in(oak, f"{number}", secret="KEY", agents=[scribe.pk], **given)
        ActivationPolicy.objects.create_for(scribe, trigger="mention", config={}, name=f"{number}", **given)

    counts = []
    ada_browses.get(at(name))  # the first page of a session costs more
    for number in range(6):
        with inside(oak, ada):
            another(number)
        if number in (0, 5):
            with CaptureQueriesContext(connection) as asked:
                assert ada_browses.get(at(name)).status_code == 200
            counts.append(len(asked))
    assert counts[0] == counts[1] <= 45, counts

"""Operators look at records of every house, act through their verbs, and never see what is remembered."""

import pytest

from artifacts.models import Artifact
from houses.models import ActivationPolicy, Agent, Memory, Resource, Secret, SecretBinding, Tool
from houses.tenancy import inside
from tests.houses.test_records import resource_of, tool_of

pytestmark = pytest.mark.usefixtures("committed")
RECORDS = (Resource, Tool, Memory, SecretBinding, ActivationPolicy, Artifact)


def page(model, rest: str = "") -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{rest}"


@pytest.fixture
def operator(client_of, committed):
    return client_of(Agent.objects.create_superuser("ops@example.org", "correct horse battery staple"), factor=True)


@pytest.fixture
def kept(oak, ada, bo, scribe):
    """One of each record of Oak, by model."""
    with inside(oak, bo):
        secretly = Memory.objects.remember("Secretly rye.", subject="quincunx", tags=["mumblety"], private=True, by=bo)
    with inside(oak, ada):
        Secret.objects.put("KEY", "correct-horse-battery-staple", by=ada)
        bread = resource_of(oak, ada)
        bound = {"resources": [bread.pk], "agents": [scribe.pk]}
        return {
            Resource: bread,
            Tool: tool_of(oak, ada),
            Memory: secretly,
            SecretBinding: SecretBinding.objects.create_in(oak, "baker", secret="KEY", by=ada, **bound),
            ActivationPolicy: ActivationPolicy.objects.create_for(scribe, trigger="mention", config={}, by=ada),
            Artifact: Artifact.objects.keep(kind="url", external_id="https://x.example", by=ada),
        }


def test_every_record_is_looked_at_and_what_is_remembered_is_not(operator, oak, kept):
    for model, row in kept.items():
        listed = operator.get(f"{page(model)}?house={oak.pk}").content.decode()
        shown = operator.get(page(model, f"{row.pk}/change/"))
        assert shown.status_code == 200 and row.pk in listed
        for text in (listed, shown.content.decode()):
            assert not any(word in text for word in ("Secretly", "quincunx", "mumblety", "correct-horse")), model


def test_what_a_binding_serves_and_a_search_for_what_is_remembered(operator, kept):
    shown = operator.get(page(SecretBinding, f"{kept[SecretBinding].pk}/change/")).content.decode()
    assert "Bread" in shown and "Scribe" in shown
    assert kept[Memory].pk not in operator.get(page(Memory) + "?q=rye").content.decode()


@pytest.mark.parametrize(
    ("model", "action"),
    [(Resource, "remove"), (Tool, "remove"), (SecretBinding, "remove"), (Artifact, "forget")],
)
def test_operators_act_through_verbs(operator, oak, ada, kept, model, action):
    operator.post(page(model), {"action": action, "_selected_action": [kept[model].pk]}, follow=True)
    with inside(oak, ada):
        assert not model.objects.filter(pk=kept[model].pk).exists()


def test_operators_switch_policies(operator, oak, ada, kept):
    one = kept[ActivationPolicy]
    for action, on in (("switch_off", False), ("switch_on", True)):
        operator.post(page(ActivationPolicy), {"action": action, "_selected_action": [one.pk]}, follow=True)
        with inside(oak, ada):
            one.refresh_from_db()
            assert one.enabled is on


def test_the_tools_of_the_installation_stay(operator, oak, ada):
    operator.post(page(Tool), {"action": "remove", "_selected_action": ["make"]}, follow=True)
    with inside(oak, ada):
        assert Tool.objects.filter(pk="make").exists()

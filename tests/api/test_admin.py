"""Operators look into every house and act through verbs; nobody else gets in."""

import pytest
from django.contrib import admin
from django.utils.html import escape

from houses.models import Agent, House, Secret, Token
from houses.operators import Looking
from houses.tenancy import inside
from sandboxes.models import Environment, Sandbox
from streams.models import Outbox
from tests.api.conftest import token_of
from threads.models import Command, Thread

pytestmark = pytest.mark.usefixtures("committed")
LOOKED_AT = [model for model, found in admin.site._registry.items() if isinstance(found, Looking)]


def page(model, rest: str = "") -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{rest}"


@pytest.fixture
def operator(client_of, committed):
    """Somebody who runs this installation and lives in no house."""
    return client_of(Agent.objects.create_superuser("ops@example.org", "correct horse battery staple"), factor=True)


@pytest.fixture
def busy(oak, ada, settings):
    """Oak, with one of everything."""
    settings.STREAMS_URL = "http://127.0.0.1:9"  # events wait in the outbox
    token_of(ada, oak)
    with inside(oak, ada):
        Secret.objects.put("API_KEY", "sesame", by=ada)
        environment = Environment.objects.create_in(oak, "Kitchen", by=ada, config={}, secret_bindings=[])
        Sandbox.objects.born(environment)
        thread = Thread.objects.open_in(oak, by=ada, name="Soup")
        thread.run("date", by=ada)
    return oak


def do(operator, action: str, row) -> str:
    """Choose one row's action; the page that comes after."""
    chosen = {"action": action, "_selected_action": [str(row.pk)]}
    return operator.post(page(type(row)), chosen, follow=True).content.decode()


def test_members_do_not_get_in(client_of, ada):
    assert client_of(ada, factor=True).get("/admin/").status_code == 403


def test_every_list_and_row_opens_and_is_for_looking(operator, busy):
    assert len(LOOKED_AT) == 23
    for model in LOOKED_AT:
        listed = operator.get(f"{page(model)}?q=a&house={busy.pk}" if model is not House else page(model) + "?q=oak")
        assert listed.status_code == 200, model
        assert operator.get(page(model, "add/")).status_code == 403
        for row in model.objects.using("operator"):
            shown = operator.get(page(model, f"{row.pk}/change/"))
            assert shown.status_code == 200 and b'name="_save"' not in shown.content, model
            assert operator.post(page(model, f"{row.pk}/change/"), {"name": "x"}).status_code == 403


def test_the_list_of_a_house_has_its_rows_and_no_others(operator, busy, elm, cy):
    with inside(elm, cy):
        Thread.objects.open_in(elm, by=cy, name="Theirs")
    both, one = operator.get(page(Thread)).content, operator.get(f"{page(Thread)}?house={busy.pk}").content
    assert b"Soup" in both and b"Theirs" in both
    assert b"Soup" in one and b"Theirs" not in one


def test_who_is_in_a_house_is_on_its_page(operator, busy, bo):
    shown = operator.get(page(House, f"{busy.pk}/change/")).content.decode()
    assert "Ada · human · owner" in shown and "Bo · human · member" in shown


def test_secrets_and_tokens_show_nothing_to_open_a_door_with(operator, busy):
    with inside(busy):
        secret, token = Secret.objects.get(), Token.objects.get()
    shown = operator.get(page(Secret, f"{secret.pk}/change/")).content.decode()
    assert "API_KEY" in shown and "sesame" not in shown and str(secret.vault_secret_id) not in shown
    assert token.digest not in operator.get(page(Token, f"{token.pk}/change/")).content.decode()


def test_threads_are_closed_and_reopened_through_their_verbs(operator, busy):
    with inside(busy):
        thread = Thread.objects.get()
    assert "Soup: closed." in do(operator, "close", thread)
    with inside(busy):
        assert Thread.objects.get().status == "closed"
        assert str(Outbox.objects.get(kind="thread_closed").author) == "Operator"
    do(operator, "reopen", thread)
    with inside(busy):
        assert Thread.objects.get().status == "open"


def test_commands_are_stopped(operator, busy):
    with inside(busy):
        command = Command.objects.get()
    do(operator, "stop", command)
    with inside(busy):
        assert Command.objects.get().status == "cancelled"


def test_sandboxes_are_destroyed(operator, busy):
    with inside(busy):
        sandbox = Sandbox.objects.get()
    do(operator, "destroy", sandbox)
    with inside(busy):
        assert Sandbox.objects.get().status == "dead"


def test_tokens_are_revoked(operator, busy):
    with inside(busy):
        token = Token.objects.get()
    do(operator, "revoke", token)
    with inside(busy):
        assert Token.objects.get().revoked_at


def test_people_and_bots_are_made(operator):
    made = {"kind": "human", "name": "Di", "email": "di@oak.example"}
    assert operator.post(page(Agent, "add/"), made).status_code == 302
    assert Agent.objects.get(email="di@oak.example").name == "Di"
    operator.post(page(Agent, "add/"), {"kind": "bot", "name": "Clerk", "runtime": "chat"})
    assert Agent.objects.get(kind="bot").runtime == "chat"
    refused = operator.post(page(Agent, "add/"), {"kind": "bot", "name": "Clerk"})
    assert escape("A bot names its runtime.") in refused.content.decode()


def test_a_password_is_given_and_a_link_is_made(operator, ada, client):
    assert operator.get(page(Agent, f"{ada.pk}/change/")).status_code == 200
    words = {"password1": "a new long password 1", "password2": "a new long password 1", "usable_password": "true"}
    assert operator.post(page(Agent, f"{ada.pk}/password/"), words).status_code == 302
    assert client.login(username="ada@oak.example", password="a new long password 1")
    assert "/sign-in/" in do(operator, "make_link", ada)


def test_what_is_known_of_an_agent_is_not_edited(operator, ada):
    operator.post(page(Agent, f"{ada.pk}/change/"), {"name": "Mallory", "is_operator": "on"})
    ada.refresh_from_db()
    assert (ada.name, ada.is_operator) == ("Ada", False)


def test_agents_go_and_come_back_but_nobody_shuts_themselves_out(operator, ada):
    do(operator, "deactivate", ada)
    assert not Agent.objects.get(pk=ada.pk).is_active
    do(operator, "reactivate", ada)
    assert Agent.objects.get(pk=ada.pk).is_active
    me = Agent.objects.get(email="ops@example.org")
    do(operator, "deactivate", me)
    assert Agent.objects.get(pk=me.pk).is_active

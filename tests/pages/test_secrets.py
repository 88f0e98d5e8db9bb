"""The pages of secrets and tokens: how far a secret reaches, and what a token may do."""

import re

import pytest

from houses.giving import give
from houses.models import Bot, Secret, SecretDelivery, Token
from houses.tenancy import inside

pytestmark = pytest.mark.django_db
VALUE = "hush-hush-value"


@pytest.fixture
def key(oak, ada, thread, environment):
    """API_KEY: required by Oak's environment, and received by a run in a thread of Oak."""
    with inside(oak, ada):
        secret = Secret.objects.put("API_KEY", VALUE, by=ada)
        bindings = [{"name": "API_KEY", "required": True}]
        environment.change(name="weather", config={}, secret_bindings=bindings, by=ada)
        command = thread.run("true", by=ada)
        hand = {"agent": ada, "thread_id": thread.pk, "environment_id": environment.pk}
        SecretDelivery.objects.note({"API_KEY": 1}, command_id=command.pk, **hand)
        SecretDelivery.objects.note({"API_KEY": 1}, command_id="over", **hand)
        SecretDelivery.objects.note_redactions("over", {"API_KEY": 3})
    return secret


@pytest.fixture
def browse(client_of):
    def browsed(agent, address, **fields):
        client = client_of(agent)
        answer = client.post(address, fields) if fields else client.get(address)
        return answer, answer.content.decode()

    return browsed


def test_the_page_of_a_secret_says_who_gets_it_and_who_got_it(browse, ada, at, key, thread):
    _, page = browse(ada, at("secret_uses", "API_KEY"))
    assert "Version 1" in page and "2 runs received it, and it was hidden 3 times" in page
    assert "weather" in page and "its commands do not start without it" in page
    assert "Weather" in page and "hidden 3 times" in page and "running" in page
    assert "Commands of weather will not start any more" in page
    assert VALUE not in page and "Running with an old value" not in page


def test_what_runs_with_an_old_value_is_said(browse, ada, oak, at, key):
    browse(ada, at("secret", "API_KEY"), value="another")
    _, page = browse(ada, at("secret_uses", "API_KEY"))
    assert "Version 2" in page and "Running with an old value" in page and "replaced" in page


def test_a_member_sees_how_far_it_reaches_and_changes_nothing(browse, bo, at, key):
    _, page = browse(bo, at("secret_uses", "API_KEY"))
    assert "Who gets it" in page and "Replace the value" not in page and "Delete it" not in page
    assert browse(bo, at("secret", "API_KEY"), value="mine")[0].status_code == 403
    _, listed = browse(bo, at("secrets"))
    assert "API_KEY" in listed and "Add a secret" not in listed


def test_a_thread_that_one_may_not_read_is_not_named(browse, ada, bo, oak, at, key, thread):
    with inside(oak, ada):
        give(bo, thread, "none", by=ada)
    _, page = browse(bo, at("secret_uses", "API_KEY"))
    assert "In a thread you do not see" in page and "/commands/" not in page


def test_next_door_and_a_name_that_never_was_have_no_page(browse, ada, cy, at, key):
    assert browse(cy, at("secret_uses", "API_KEY"))[0].status_code == 404
    assert browse(ada, at("secret_uses", "NEVER"))[0].status_code == 404


def test_a_forgotten_secret_still_says_who_got_it(browse, ada, at, key):
    browse(ada, at("secret", "API_KEY"), delete="1")
    answer, page = browse(ada, at("secret_uses", "API_KEY"))
    assert answer.status_code == 200 and "It was forgotten." in page and "Replace the value" not in page


def test_a_token_is_made_with_less_and_replaced(browse, ada, oak):
    _, page = browse(ada, "/you/tokens/", house=oak.pk, name="reader", bits="r", days="7")
    assert "as far as r goes" in page
    first = re.search(r'data-copy="([^"]+)"', page)[1]
    assert Token.objects.read(first).bits == "r"
    address = re.search(r'action="(/houses/[^"]+/settings/tokens/[^"]+)"', page)[1]
    _, page = browse(ada, address, rotate="1")
    second = re.search(r'data-copy="([^"]+)"', page)[1]
    assert first != second and Token.objects.read(second).bits == "r"
    assert browse(ada, "/you/tokens/", house=oak.pk, name="x", days="9000")[0].status_code == 400


def test_the_token_of_a_bot_is_replaced_by_who_manages(browse, ada, bo, oak, scribe, at):
    _, page = browse(ada, at("bot_token", scribe.pk), bits="rw", days="30")
    address = re.search(r'action="(/houses/[^"]+/settings/tokens/[^"]+)"', page)[1]
    assert browse(bo, address, rotate="1")[0].status_code == 404
    _, page = browse(ada, address, rotate="1")
    text = re.search(r'data-copy="([^"]+)"', page)[1]
    assert (Token.objects.read(text).agent, Token.objects.read(text).bits) == (scribe, "rw")


def test_the_page_of_a_key_names_the_bots_that_cannot_work_without_it(browse, ada, oak, at, key, scribe):
    with inside(oak, ada):
        Bot.objects.create(house=oak, agent=scribe, model="m", key_secret="API_KEY")
    _, page = browse(ada, at("secret_uses", "API_KEY"))
    assert "its model is asked with it as its key" in page and "Scribe cannot work without it." in page
